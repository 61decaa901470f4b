import { fileURLToPath } from 'node:url'
import type { BuildOptions } from 'esbuild'

/** What the browser is given, by its path below the console's. */
export interface PageFile {
  readonly type: string
  readonly content: string | Uint8Array
}

const FOLDER = fileURLToPath(new URL('page', import.meta.url))

const OPTIONS: BuildOptions = {
  absWorkingDir: FOLDER,
  entryPoints: { app: 'main.tsx', style: 'style.css' },
  outdir: 'out',
  bundle: true,
  write: false,
  platform: 'browser',
  format: 'esm',
  target: 'es2022',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  minify: true,
  legalComments: 'none',
}

const HTML = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>token-broker console</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/console/style.css">
<script type="module" src="/console/app.js"></script>
</head>
<body><div id="app"></div><noscript>The console needs JavaScript.</noscript></body>
</html>
`

let files: Promise<ReadonlyMap<string, PageFile>> | undefined

/** The page's files, compiled once, by a process of its own: the broker does not wait for it. */
export function pageFiles(): Promise<ReadonlyMap<string, PageFile>> {
  files ??= compile()
  return files
}

async function compile(): Promise<ReadonlyMap<string, PageFile>> {
  const { build, stop } = await import('esbuild')
  const { outputFiles = [] } = await build(OPTIONS)
  // The compiler's process is not needed again.
  await stop()
  const find = (end: string) => outputFiles.find(({ path }) => path.endsWith(end))?.contents ?? ''
  return new Map<string, PageFile>([
    ['', { type: 'text/html; charset=utf-8', content: HTML }],
    ['/app.js', { type: 'text/javascript; charset=utf-8', content: find('app.js') }],
    ['/style.css', { type: 'text/css; charset=utf-8', content: find('style.css') }],
  ])
}
