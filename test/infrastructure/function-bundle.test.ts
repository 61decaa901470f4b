import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { bundleFunction } from '../../lib/constructs/function-bundle.ts'
import { temporaryFolder } from './synthesize.ts'

const FUNCTIONS = fileURLToPath(new URL('../../functions', import.meta.url))
const KILOBYTE = 1000

function entryOf(source: string): string {
  const file = join(temporaryFolder('entry'), 'handler.ts')
  writeFileSync(file, source)
  return file
}

describe('a function bundle', () => {
  it('is the same for the same sources, wherever it is written', () => {
    const code = ['one', 'two'].map((name) => {
      const { folder } = bundleFunction(join(FUNCTIONS, 'exchange', 'handler.ts'), temporaryFolder(name))
      return readFileSync(join(folder, 'index.mjs'), 'utf8')
    })
    expect(code[0]).toBe(code[1])
  })

  it('can load the CommonJS packages inside it', async () => {
    const entry = entryOf(`
      const { createHash } = require('node:crypto')
      module.exports.handler = () => createHash('sha256').update('').digest('hex')
    `)
    const { folder } = bundleFunction(entry, temporaryFolder('commonjs'))
    const { default: loaded } = await import(pathToFileURL(join(folder, 'index.mjs')).href)
    expect(loaded.handler()).toMatch(/^e3b0c442/)
  })

  it('holds the files that go beside the code, and nothing of an earlier run', () => {
    const folder = temporaryFolder('files')
    mkdirSync(join(folder, 'stale'))
    const { metafile } = bundleFunction(entryOf('export const handler = 1'), folder, { 'policy.json': '{}' })
    expect(readFileSync(join(folder, 'policy.json'), 'utf8')).toBe('{}')
    expect(() => readFileSync(join(folder, 'stale'))).toThrow(/ENOENT/)
    expect(Object.keys(metafile.inputs)).toHaveLength(1)
  })

  it('refuses an entry that does not exist, naming it', () => {
    expect(() => bundleFunction('/nowhere/handler.ts', temporaryFolder('none'))).toThrow(
      '/nowhere/handler.ts',
    )
  })

  it.each(['exchange', 'introspect', 'revoke', 'jwks', 'rotate-keys', 'status', 'export-audit'])(
    'of %s is at most 450 kB and exports a handler',
    (name) => {
      const { bytes, metafile } = bundleFunction(join(FUNCTIONS, name, 'handler.ts'), temporaryFolder(name))
      expect(bytes).toBeGreaterThan(0)
      expect(bytes).toBeLessThanOrEqual(450 * KILOBYTE)
      const code = Object.values(metafile.outputs).find((output) => output.entryPoint)
      expect(code?.exports).toContain('handler')
    },
  )

  it('looks for credentials in the environment and nowhere else', () => {
    const { metafile } = bundleFunction(
      join(FUNCTIONS, 'exchange', 'handler.ts'),
      temporaryFolder('credentials'),
    )
    const providers = Object.keys(metafile.inputs).flatMap(
      (path) => /credential-provider-[a-z-]+/.exec(path) ?? [],
    )
    expect(new Set(providers)).toEqual(new Set(['credential-provider-env']))
  })
})
