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
