import fc from 'fast-check'
import { stringify } from 'yaml'

const KEYS = [
  'defaults',
  'issuers',
  'clients',
  'targets',
  'grants',
  'github',
  'ci',
  'payments',
  'issuer',
  'preset',
  'keys',
  'jwks',
  'jwks_uri',
  'algorithms',
  'audiences',
  'audience',
  'resources',
  'scopes',
  'default_scopes',
  'when',
  'target',
  'claims',
  'lifetime',
  'max_lifetime',
  'clock_skew',
  'replay',
  'default_target',
  'token',
  'algorithm',
  'client',
  'delegation',
  'rate',
  'aws_role',
  'sub',
  'act',
  '__proto__',
  'constructor',
  'kty',
  'kid',
  'n',
  'e',
  'x',
  '1',
  '',
]
const LEAVES: readonly unknown[] = [
  'github-actions',
  'https://ci.example.com',
  'https://payments.example.com',
  'discovery',
  'RS256',
  'ES256',
  'payments',
  'github',
  'ci',
  'broker',
  'single-use',
  '5m',
  '1h',
  '-1s',
  '999999h',
  'a.read',
  '{repository}',
  '{/a/b}',
  '{',
  '~2',
  '**',
  'x*',
  '',
  ' ',
  '\u0000',
  '\ud800',
  0,
  -1,
  1.5,
  1e308,
  2 ** 53 + 2,
  true,
  false,
  null,
]

const leaf = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...LEAVES) },
  { weight: 1, arbitrary: fc.string({ maxLength: 20 }) },
)

/** Documents of the words of a policy, in any arrangement. */
const document: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  node: fc.oneof(
    { maxDepth: 6, withCrossShrink: true },
    leaf,
    fc.array(tie('node'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...KEYS), tie('node'), { maxKeys: 4 }),
  ),
})).node

/** Policies that would compile, with anything in the place of one part. */
const nearly: fc.Arbitrary<unknown> = fc
  .record({
    section: fc.constantFrom('issuers', 'targets', 'grants'),
    key: fc.constantFrom(...KEYS),
    value: document,
  })
  .map(({ section, key, value }) => {
    const policy: Record<string, Record<string, Record<string, unknown>>> = {
      issuers: {
        ci: {
          issuer: 'https://ci.example.com',
          algorithms: ['RS256'],
          audiences: ['https://broker.example.com'],
        },
      },
      targets: { payments: { audience: 'https://payments.example.com', scopes: ['a.read'] } },
      grants: { one: { issuer: 'ci', target: 'payments', when: { sub: 'x' }, scopes: ['a.read'] } },
    }
    const [entry] = Object.values(policy[section] ?? {})
    if (entry !== undefined)
      Object.defineProperty(entry, key, { value, enumerable: true, configurable: true, writable: true })
    return policy
  })

const yaml = (value: unknown): string => {
  try {
    return stringify(value)
  } catch {
    return String(value)
  }
}

/** Texts of policy files: YAML of policies, broken YAML, and no YAML. */
export const policyText: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: nearly.map(yaml) },
  { weight: 3, arbitrary: document.map(yaml) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        nearly.map(yaml),
        fc.nat({ max: 300 }),
        fc.constantFrom(
          '\t',
          ':',
          '- ',
          '&a ',
          '*a',
          '!!binary ',
          '|',
          '%',
          '{',
          ']',
          '\u0000',
          '"',
          '<<: ',
          '? ',
          '\n---\n',
          '#',
        ),
      )
      .map(([text, at, noise]) => text.slice(0, at) + noise + text.slice(at)),
  },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 60 }) },
)

/** What has broken readers of YAML before. */
export const NASTY_POLICIES: readonly string[] = [
  '',
  '\ufeff',
  '---',
  '...\n...',
  '- a',
  'null',
  '[]',
  '{}',
  'a: &a [*a]',
  'a: &a {x: 1}\nb: *a',
  'issuers:\n  <<: {x: 1}',
  'issuers: &i\n  ci: *i',
  '%YAML 1.1\n---\ngrants: {no: yes}',
  '!!js/function "x"',
  'issuers: !!set {a, b}',
  '? [a, b]\n: c',
  '? {a: b}\n: c',
  '"\\ud800": 1',
  'a: 1\na: 2',
  '1: a\n"1": b',
  'issuers: {ci: {issuer: https://ci.example.com, algorithms: [RS256], audiences: [a]}}\n---\ngrants: {}',
  `grants: ${'{a: '.repeat(500)}1${'}'.repeat(500)}`,
  `grants: ${'['.repeat(500)}${']'.repeat(500)}`,
  `issuers:\n  ci:\n    issuer: "${'x'.repeat(50_000)}"`,
  `grants:\n${Array.from({ length: 2000 }, (_, at) => `  g${at}: 1`).join('\n')}`,
  '__proto__: {issuers: {}}',
  'grants: {one: {__proto__: {issuer: ci}}}',
  'grants: {constructor: {issuer: toString, target: hasOwnProperty, when: {valueOf: 1}}}',
]
