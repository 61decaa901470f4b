import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, it } from 'vitest'

interface Import {
  readonly file: string
  /** A package, or a path from the project's root. */
  readonly of: string
}

function sourcesIn(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name))
    .map((name) => join(folder, name))
}

const IMPORT = /^(?:import|export)\s(?:[^'"]*?\sfrom\s)?['"]([^'"]+)['"]/gm

function importsIn(folder: string): readonly Import[] {
  return sourcesIn(folder).flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(IMPORT)].map(([, of = '']) => ({
      file,
      of: of.startsWith('.') ? normalize(join(dirname(file), of)) : of,
    })),
  )
}

function strangers(folder: string, isAllowed: (of: string, file: string) => boolean): readonly string[] {
  const imports = importsIn(folder)
  expect(imports.length).toBeGreaterThan(0)
  return imports.filter(({ file, of }) => !isAllowed(of, file)).map(({ file, of }) => `${file} imports ${of}`)
}

const isIn = (of: string, ...folders: readonly string[]) =>
  folders.some((folder) => of.startsWith(`${folder}/`))

describe('import boundaries', () => {
  it('core imports core, jose, hashes and compression; zod only where a policy file is described', () => {
    const allowed = ['jose', 'jose/errors', 'node:crypto', 'node:zlib']
    expect(
      strangers(
        'functions/core',
        (of, file) =>
          isIn(of, 'functions/core') ||
          allowed.includes(of) ||
          (of === 'zod' && file.startsWith('functions/core/policy/schema')),
      ),
    ).toEqual([])
  })

  it('nothing that runs in Lambda loads zod or yaml', () => {
    const seen = new Set<string>()
    const visit = (file: string): readonly string[] => {
      if (seen.has(file) || !file.endsWith('.ts')) return []
      seen.add(file)
      const runtime = [...readFileSync(file, 'utf8').matchAll(IMPORT)].filter(
        ([text]) => !/^(?:import|export) type /.test(text),
      )
      return runtime.flatMap(([, of = '']) =>
        of.startsWith('.') ? visit(normalize(join(dirname(file), of))) : [of],
      )
    }
    const loaded = sourcesIn('functions')
      .filter((file) => file.endsWith('/handler.ts'))
      .flatMap(visit)
    expect(loaded).toContain('jose')
    expect(loaded.filter((of) => of === 'zod' || of === 'yaml')).toEqual([])
  })

  it('an adapter imports core, other adapters and at most one SDK', () => {
    const isOfAws = (of: string) => of.startsWith('@aws-sdk/')
    expect(
      strangers(
        'functions/adapters',
        (of) =>
          isIn(of, 'functions/core', 'functions/adapters') ||
          isOfAws(of) ||
          of.startsWith('node:') ||
          ['jose', '@smithy/signature-v4', 'functions/key-tags.ts'].includes(of),
      ),
    ).toEqual([])
    for (const file of sourcesIn('functions/adapters')) {
      const clients = importsIn('functions/adapters').filter((one) => one.file === file && isOfAws(one.of))
      expect(clients.length, file).toBeLessThanOrEqual(1)
    }
  })

  it('only compose.ts builds adapters', () => {
    const users = importsIn('functions').filter(
      ({ file, of }) => isIn(of, 'functions/adapters') && !isIn(file, 'functions/adapters'),
    )
    expect(new Set(users.map(({ file }) => file))).toEqual(new Set(['functions/compose.ts']))
  })

  it('functions never import the CDK or lib', () => {
    expect(
      strangers(
        'functions',
        (of) => !of.startsWith('aws-cdk-lib') && of !== 'constructs' && !isIn(of, 'lib', 'bin'),
      ),
    ).toEqual([])
  })

  it('lib takes from functions only settings, telemetry, tags, key times, client secrets and what policy is made of; its command line core, adapters and key steps too, its console core', () => {
    const allowed = [
      'functions/settings.ts',
      'functions/telemetry.ts',
      'functions/key-tags.ts',
      'functions/core/types.ts',
      'functions/core/limits.ts',
      'functions/core/client-secret.ts',
      'functions/core/key-times.ts',
    ]
    expect(
      strangers(
        'lib',
        (of, file) =>
          !isIn(of, 'functions') ||
          allowed.includes(of) ||
          isIn(of, 'functions/core/policy') ||
          // It does by hand what the functions do, with the operator's credentials: by the same code, or not at all.
          (isIn(file, 'lib/cli') &&
            isIn(of, 'functions/core', 'functions/adapters', 'functions/rotate-keys')) ||
          // It puts into words what core has decided: by the code that decides.
          (isIn(file, 'lib/local/console') && isIn(of, 'functions/core')),
      ),
    ).toEqual([])
  })

  it('the page of the console imports its own files, small libraries, and of the rest only types', () => {
    const folder = 'lib/local/console/page'
    const allowed = ['preact', 'preact/hooks', 'uplot', 'jose']
    const loaded = sourcesIn(folder).flatMap((file) =>
      [...readFileSync(file, 'utf8').matchAll(IMPORT)]
        .filter(([text]) => !text.startsWith('import type '))
        .map(([, of = '']) => (of.startsWith('.') ? normalize(join(dirname(file), of)) : of)),
    )
    expect(loaded).toContain('preact')
    const strange = loaded.filter(
      (of) => !allowed.includes(of) && !isIn(of, folder) && of !== 'lib/local/demo-exchange.ts',
    )
    expect(strange).toEqual([])
  })

  it('nothing but tests imports tests', () => {
    for (const folder of ['bin', 'lib', 'functions'])
      expect(strangers(folder, (of) => !isIn(of, 'test'))).toEqual([])
  })
})
