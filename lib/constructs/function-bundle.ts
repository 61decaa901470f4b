import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync, type Metafile } from 'esbuild'

const CREDENTIALS = fileURLToPath(
  new URL('../../functions/adapters/environment-credentials.ts', import.meta.url),
)
const PROJECT = fileURLToPath(new URL('../..', import.meta.url))

// CommonJS packages call `require('node:…')`, which an ES module does not have.
const REQUIRE =
  "import { createRequire as bundleRequire } from 'node:module'; const require = bundleRequire(import.meta.url);"

/** A function's code, ready to upload: the same sources give the same bytes. */
export interface FunctionBundle {
  readonly folder: string
  /** Size of the code, without the files beside it. */
  readonly bytes: number
  /** Which source takes how many bytes. */
  readonly metafile: Metafile
}

/**
 * Bundles `entry` with everything that it imports, the AWS SDK included, as `index.mjs` in `folder`, and writes `files`
 * (name to content) beside it. Throws if there is no such entry or it does not compile.
 */
export function bundleFunction(
  entry: string,
  folder: string,
  files: Readonly<Record<string, string>> = {},
): FunctionBundle {
  if (!existsSync(entry)) throw new Error(`found no function at ${entry}`)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const { metafile } = buildSync({
    entryPoints: [entry],
    outfile: join(folder, 'index.mjs'),
    absWorkingDir: PROJECT,
    bundle: true,
    platform: 'node',
    format: 'esm',
    // Lambda runs Node 24; the local cloud runs the same bundle on the developer's Node, 20 or newer.
    target: 'node20',
    // ES module sources, where a package has them, are what tree shaking works on.
    mainFields: ['module', 'main'],
    // The SDK's default chain looks for credentials in ten places. A function has them in one.
    alias: { '@aws-sdk/credential-provider-node': CREDENTIALS },
    minify: true,
    treeShaking: true,
    legalComments: 'none',
    banner: { js: REQUIRE },
    metafile: true,
  })
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
  return { folder, bytes: codeBytes(metafile), metafile }
}

function codeBytes(metafile: Metafile): number {
  const code = Object.entries(metafile.outputs).find(([path]) => basename(path) === 'index.mjs')
  return code?.[1].bytes ?? 0
}
