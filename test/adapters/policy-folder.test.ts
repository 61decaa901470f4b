import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { lintPolicy } from '../../functions/core/policy/lint.ts'
import { loadPolicy, PolicyError, readPolicyFolder } from '../../lib/policy-folder.ts'
import { policyJsonSchema, policyTestJsonSchema } from '../../lib/policy-schema.ts'

const DEPLOYED = new URL('../../policy/', import.meta.url).pathname
const OPTIONS = Object.freeze({ loopbackIssuers: false })
const VALID = `issuers:
  github: {preset: github-actions, audiences: [https://broker.example.com]}
targets:
  payments: {audience: https://payments.example.com}
grants:
  payments-ci:
    issuer: github
    when:
      repository_id: "1"
      kubernetes.io:
        namespace: [a, "b*"]
    target: payments
`

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'policy-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true })
})

/** The error of loading a folder with these files, its path left out. */
function errorOf(files: Readonly<Record<string, string>>): string {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  try {
    loadPolicy(folder, OPTIONS)
  } catch (error) {
    if (error instanceof PolicyError) return error.message.replaceAll(`${folder}/`, '')
    throw error
  }
  return ''
}

describe('a policy folder', () => {
  it('is all of its yaml and yml files as one', () => {
    const [issuers = '', rest = ''] = VALID.split(/(?=targets:)/)
    writeFileSync(join(folder, 'a.yml'), issuers)
    writeFileSync(join(folder, 'b.yaml'), rest)
    writeFileSync(join(folder, 'README.md'), 'not: [policy')
    writeFileSync(join(folder, 'only-a-comment.yaml'), '# nothing yet\n')
    expect(loadPolicy(folder, OPTIONS).grants).toMatchObject([{ id: 'payments-ci', issuer: 'github' }])
  })

  it('that does not exist is refused, saying what to do', () => {
    const missing = join(folder, 'missing')
    expect(() => loadPolicy(missing, OPTIONS)).toThrow(
      `${missing}: found no folder; make it and write the policy to ${missing}/policy.yaml`,
    )
  })

  it('without policy files is refused, saying what to do', () => {
    expect(() => loadPolicy(folder, OPTIONS)).toThrow(
      `${folder}: found no policy file; write the policy to ${folder}/policy.yaml`,
    )
  })

  it.each([
    ['a folder', (path: string) => mkdirSync(path)],
    ['a link to nothing', (path: string) => symlinkSync('/nowhere/at/all', path)],
  ])('with %s for a policy file is refused, not read without it', (_what, make) => {
    make(join(folder, 'more.yaml'))
    expect(errorOf({ 'a.yaml': VALID })).toContain('more.yaml: found a name that cannot be read as a file')
  })

  it('with bytes that are no UTF-8 is refused: what stands for them would match nothing', () => {
    writeFileSync(join(folder, 'b.yaml'), Buffer.from('grants: {a: {when: {actor_id: caf\xe9}}}', 'latin1'))
    expect(errorOf({ 'a.yaml': VALID })).toBe('b.yaml:1:1: found bytes that are no UTF-8; allowed: UTF-8')
  })

  it('may begin with a byte order mark, and end its lines as Windows does', () => {
    expect(errorOf({ 'a.yaml': `\ufeff${VALID.replaceAll('\n', '\r\n')}` })).toBe('')
  })

  it('accepts issuers on loopback where asked to', () => {
    const text = VALID.replace(
      'preset: github-actions',
      'preset: github-actions, issuer: "http://127.0.0.1:1"',
    )
    expect(errorOf({ 'a.yaml': text })).toContain(
      'a.yaml:2:36 issuers.github.issuer: found "http://127.0.0.1:1"',
    )
    expect(loadPolicy(folder, { loopbackIssuers: true }).issuers).toHaveLength(1)
  })
})

describe('findings in a policy folder', () => {
  it('have the line and column of the key', () => {
    expect(errorOf({ 'a.yaml': VALID.replace('"1"', '') })).toMatch(
      /^a\.yaml:9:7 grants\.payments-ci\.when\.repository_id: found nothing; allowed: /,
    )
  })

  it('have the line and column of the list item', () => {
    expect(errorOf({ 'a.yaml': VALID.replace('"b*"', '{}') })).toMatch(
      /^a\.yaml:11:24 grants\.payments-ci\.when\["kubernetes\.io"\]\.namespace\[1\]: found a map; allowed: /,
    )
  })

  it('have the place of what surrounds a missing key', () => {
    expect(errorOf({ 'a.yaml': VALID.replace('    target: payments\n', '') })).toMatch(
      /^a\.yaml:6:3 grants\.payments-ci\.target: found nothing; allowed: /,
    )
  })

  it('come one per line, from all files', () => {
    const lines = errorOf({ 'a.yaml': VALID.replace('github-actions', 'x'), 'b.yaml': 'grant: {}' }).split(
      '\n',
    )
    expect(lines).toEqual([
      expect.stringContaining('a.yaml:2:12 issuers.github.preset: found "x"; allowed: github-actions, '),
      expect.stringContaining('b.yaml:1:1 grant: found the unknown key "grant"; allowed: '),
    ])
  })

  it('name both places of an id that is there twice', () => {
    expect(errorOf({ 'a.yaml': VALID, 'b.yaml': VALID })).toContain(
      'b.yaml:6:3 grants.payments-ci: found a second grants.payments-ci (a.yaml:6:3); allowed: ',
    )
  })
})

describe('a policy file', () => {
  it.each([
    ['a key twice', 'grants: {}\ngrants: {}\n', 'a.yaml:2:1: found a key twice'],
    [
      'a key twice, once as a number',
      'grants: {a: {when: {1: a, "1": b}}}\n',
      'a.yaml:1:27: found a key twice',
    ],
    ['a syntax error', 'grants:\n  a: [\n', 'a.yaml:2:6: found a [ that is not closed'],
    ['two documents', 'grants: {}\n---\ngrants: {}\n', 'a.yaml:2:1: found a second document'],
    ['an alias', 'x: &a [1]\ny: *a\n', 'a.yaml:2:4: found an alias; allowed: the value itself'],
    ['an alias within its own anchor', 'x: &a [*a]\n', 'a.yaml:1:8: found an alias'],
    ['an unknown tag', 'grants: !!js/function "a"\n', 'a.yaml:1:9: found invalid YAML'],
    ['a binary', 'grants: !!binary aaaa\n', 'a.yaml:1:9: found invalid YAML'],
  ])('with %s is refused', (_, text, start) => {
    expect(errorOf({ 'a.yaml': text })).toContain(start)
  })

  it('is YAML 1.2 whatever it says', () => {
    const text = `%YAML 1.1\n---\n${VALID.replace('"1"', 'no')}`
    writeFileSync(join(folder, 'a.yaml'), text)
    expect(loadPolicy(folder, OPTIONS).grants[0]?.when[0]?.anyOf).toEqual([{ kind: 'equals', value: 'no' }])
  })

  it('with __proto__ for a name is refused', () => {
    expect(errorOf({ 'a.yaml': `${VALID}  __proto__: {}\n` })).toContain(
      'a.yaml:13:3 grants.__proto__: found the key',
    )
  })
})

describe('the deployed policy', () => {
  it('compiles, and policy lint has nothing to say about it', () => {
    const policy = loadPolicy(DEPLOYED, OPTIONS)
    expect(policy.issuers.map(({ id }) => id)).toEqual(['cluster', 'github', 'gitlab', 'lambda'])
    expect(lintPolicy(readPolicyFolder(DEPLOYED), policy)).toEqual([])
  })

  it.each([
    ['policy.schema.json', policyJsonSchema],
    ['policy-test.schema.json', policyTestJsonSchema],
  ])('has the current %s beside it', (name, schema) => {
    const committed: unknown = JSON.parse(readFileSync(join(DEPLOYED, name), 'utf8'))
    // Not current? npm run generate
    expect(committed).toEqual(schema())
  })

  it('names the schema of each file in its first line, for editors', () => {
    for (const name of readdirSync(DEPLOYED).filter((file) => file.endsWith('.yaml'))) {
      const schema = name.endsWith('.test.yaml') ? 'policy-test.schema.json' : 'policy.schema.json'
      const [first] = readFileSync(join(DEPLOYED, name), 'utf8').split('\n')
      expect([name, first]).toEqual([name, `# yaml-language-server: $schema=./${schema}`])
    }
  })
})
