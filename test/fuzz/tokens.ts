import { generateKeyPairSync } from 'node:crypto'
import fc from 'fast-check'

const names = fc.constantFrom(
  'iss',
  'sub',
  'aud',
  'exp',
  '__proto__',
  'constructor',
  'a',
  '',
  'é',
  '\u0000',
  '"',
)
const json = fc.jsonValue({ maxDepth: 3 })

/** JSON texts as parsers disagree about them: duplicate names, odd numbers, escapes, white space, what is no JSON. */
const jsonText: fc.Arbitrary<string> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.dictionary(names, json, { maxKeys: 4 }).map((object) => JSON.stringify(object)),
  },
  {
    weight: 1,
    arbitrary: fc.dictionary(names, json, { maxKeys: 4 }).map((object) => JSON.stringify(object, null, '\t')),
  },
  {
    weight: 2,
    arbitrary: fc
      .array(
        fc.tuple(
          names,
          fc.oneof(
            json.map((value) => JSON.stringify(value)),
            oddLiteral(),
          ),
        ),
        { maxLength: 4 },
      )
      .map((members) => `{${members.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(',')}}`),
  },
  { weight: 1, arbitrary: json.map((value) => JSON.stringify(value)) },
  { weight: 1, arbitrary: fc.string({ maxLength: 30 }) },
)

function oddLiteral(): fc.Arbitrary<string> {
  return fc.constantFrom(
    '1e400',
    '-0',
    '0.1e1',
    '1.0',
    '9007199254740993',
    '01',
    '.5',
    '1.',
    '+1',
    'NaN',
    '0x1',
    '"\\ud800"',
    '"\\u0000"',
    '"\\/"',
    "'x'",
    'tru',
    '[1,]',
    '{"a":1,"a":2}',
    '1e-400',
    '"\t"',
    'null',
  )
}

const header: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.constant('{"alg":"ES256","kid":"key-1"}') },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom('typ', 'crit', 'b64', 'x', 'zip', 'alg', 'kid'), json)
      .map(([name, value]) => JSON.stringify({ alg: 'ES256', kid: 'key-1', [name]: value })),
  },
  { weight: 1, arbitrary: jsonText },
)

const segment = (text: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 8, arbitrary: text.map((value) => Buffer.from(value).toString('base64url')) },
    {
      weight: 1,
      arbitrary: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('base64url')),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(text, fc.constantFrom('=', ' ', '\n', 'A', '+', '/', '.'))
        .map(([value, tail]) => Buffer.from(value).toString('base64url') + tail),
    },
    { weight: 1, arbitrary: fc.string({ maxLength: 20 }) },
  )

/** Compact tokens, near enough to good ones to get past the first look. */
export const hostileCompact: fc.Arbitrary<string> = fc
  .tuple(segment(header), segment(jsonText), segment(fc.string({ minLength: 1, maxLength: 8 })))
  .map((segments) => segments.join('.'))

/** What has broken parsers before. Tried first, in every run. */
export const NASTY_TOKENS: readonly string[] = [
  '',
  '.',
  '..',
  '...',
  '.'.repeat(20_000),
  'a'.repeat(20_000),
  `${'A'.repeat(16_000)}.A.A`,
  'e30.e30.',
  'e30.e30.AA',
  'bnVsbA.bnVsbA.AA',
  `${Buffer.from(`{"alg":"ES256","kid":"k"}`).toString('base64url')}.${Buffer.from('{"a":'.repeat(2000)).toString('base64url')}.AA`,
  `${Buffer.from(`{"alg":"ES256","kid":"k"}`).toString('base64url')}.${Buffer.from(`{"a":${'['.repeat(5000)}`).toString('base64url')}.AA`,
  `${Buffer.from(`{"alg":"ES256","kid":"k"}`).toString('base64url')}.${Buffer.from(`{"a":"${'\\'.repeat(8000)}"}`).toString('base64url')}.AA`,
  `${Buffer.from(`{"alg":"ES256","kid":"k"}`).toString('base64url')}.${Buffer.from(`{"a":${'9'.repeat(8000)}}`).toString('base64url')}.AA`,
  `${Buffer.from(`{"alg":"ES256","kid":"k"}${' '.repeat(9000)}`).toString('base64url')}.e30.AA`,
]

export const PROOF_URL = 'https://tokens.example.com/token'
export const PROOF_TIME = 1_800_000_000
const { x = '', y = '' } = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
  format: 'jwk',
})

/** Proofs in which everything is in order but what is drawn, and that nobody has signed. */
export const hostileProof: fc.Arbitrary<string> = fc
  .record({
    header: fc.dictionary(fc.constantFrom('typ', 'alg', 'jwk', 'crit', 'kid'), json, { maxKeys: 1 }),
    jwk: fc.dictionary(fc.constantFrom('kty', 'crv', 'x', 'y', 'd', 'n', 'e', 'k', 'alg', 'use'), json, {
      maxKeys: 2,
    }),
    claims: fc.dictionary(fc.constantFrom('jti', 'htm', 'htu', 'iat', 'exp', 'ath', 'nonce'), json, {
      maxKeys: 1,
    }),
    signature: fc.uint8Array({ maxLength: 80 }),
  })
  .map(({ header, jwk, claims, signature }) => {
    const key = { kty: 'EC', crv: 'P-256', x, y, ...jwk }
    const parts = [
      { typ: 'dpop+jwt', alg: 'ES256', jwk: key, ...header },
      { jti: 'jti', htm: 'POST', htu: PROOF_URL, iat: PROOF_TIME, ...claims },
    ]
    const encoded = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    return [...encoded, Buffer.from(signature).toString('base64url')].join('.')
  })

/** Distinguished names, nearly. */
export const nearName: fc.Arbitrary<string> = fc
  .array(fc.constantFrom('CN', '=', ',', '+', '\\\\', '\\', ' ', '#', 'e4', '"', ';', 'a', '\u00fc'), {
    maxLength: 12,
  })
  .map((parts) => `CN=${parts.join('')}`)
