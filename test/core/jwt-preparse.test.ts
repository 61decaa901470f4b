import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { preparseJwt } from '../../functions/core/jwt-preparse.ts'
import { parseStrictObject } from '../../functions/core/strict-json.ts'
import { rawJws } from '../support/tokens.ts'

const HEADER = '{"alg":"RS256","kid":"key-1","typ":"JWT"}'
const CLAIMS = '{"iss":"https://ci.example.com","sub":"x"}'
const part = (text: string) => Buffer.from(text).toString('base64url')

describe('the JWT pre-parser', () => {
  it('reads header and claims of a compact JWS', () => {
    const token = rawJws(HEADER, CLAIMS)
    expect(preparseJwt(token)).toMatchObject({
      compact: token,
      signingInput: token.slice(0, token.lastIndexOf('.')),
      algorithm: 'RS256',
      kid: 'key-1',
      type: 'jwt',
    })
  })

  it.each([
    ['JWT', 'jwt'],
    ['at+jwt', 'at+jwt'],
    ['application/AT+JWT', 'at+jwt'],
  ])('reads typ %s as %s', (typ, type) => {
    expect(preparseJwt(rawJws(`{"alg":"RS256","kid":"k","typ":"${typ}"}`, CLAIMS))).toMatchObject({ type })
  })

  it('ignores header parameters that it does not know and that are not critical', () => {
    expect(preparseJwt(rawJws('{"alg":"RS256","kid":"k","x5t":"abc","foo":[1]}', CLAIMS))).toBeTypeOf(
      'object',
    )
  })

  const refused: readonly (readonly [string, string, string])[] = [
    ['two parts', 'a.b', 'not_compact_jws'],
    ['four parts', `${rawJws(HEADER, CLAIMS)}.AAAA`, 'not_compact_jws'],
    ['an empty signature', rawJws(HEADER, CLAIMS, ''), 'not_compact_jws'],
    ['a line break behind', `${rawJws(HEADER, CLAIMS)}\n`, 'not_compact_jws'],
    ['a space inside', rawJws(HEADER, CLAIMS).replace('.', ' .'), 'not_compact_jws'],
    ['padding', rawJws(HEADER, CLAIMS, 'AAA='), 'not_compact_jws'],
    ['the standard alphabet', rawJws(HEADER, CLAIMS, 'AA+/'), 'not_compact_jws'],
    ['a JSON serialization', '{"payload":"e30","signatures":[]}', 'not_compact_jws'],
    ['unused bits that are set', rawJws(HEADER, CLAIMS, 'AB'), 'not_canonical_base64url'],
    ['a length that base64 cannot have', rawJws(HEADER, CLAIMS, 'AAAAA'), 'not_canonical_base64url'],
    ['more than 16 KiB', rawJws(HEADER, CLAIMS, 'A'.repeat(16 * 1024)), 'too_large'],
    ['a header that is no object', rawJws('["RS256"]', CLAIMS), 'not_strict_json'],
    ['claims that are no object', rawJws(HEADER, '"x"'), 'not_strict_json'],
    ['a byte order mark', rawJws(HEADER, `\ufeff${CLAIMS}`), 'not_strict_json'],
    [
      'bytes that are not UTF-8',
      `${part(HEADER)}.${Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]).toString('base64url')}.AAAA`,
      'not_strict_json',
    ],
    ['alg twice', rawJws('{"alg":"none","kid":"k","alg":"RS256"}', CLAIMS), 'not_strict_json'],
    [
      'alg twice, once escaped',
      rawJws('{"\\u0061lg":"none","kid":"k","alg":"RS256"}', CLAIMS),
      'not_strict_json',
    ],
    ['no kid', rawJws('{"alg":"RS256"}', CLAIMS), 'kid_missing'],
    ['an empty kid', rawJws('{"alg":"RS256","kid":""}', CLAIMS), 'kid_missing'],
    ['a kid with a line break', rawJws('{"alg":"RS256","kid":"a\\nb"}', CLAIMS), 'kid_missing'],
    ['a number as kid', rawJws('{"alg":"RS256","kid":7}', CLAIMS), 'kid_missing'],
    ['a kid of 257 characters', rawJws(`{"alg":"RS256","kid":"${'k'.repeat(257)}"}`, CLAIMS), 'kid_missing'],
    ['no alg', rawJws('{"kid":"k"}', CLAIMS), 'header_not_acceptable'],
    ['a number as typ', rawJws('{"alg":"RS256","kid":"k","typ":1}', CLAIMS), 'header_not_acceptable'],
    ...['crit', 'b64', 'zip', 'enc', 'jwk', 'jku', 'x5u', 'x5c', 'cty'].map(
      (name) =>
        [
          `the parameter ${name}`,
          rawJws(`{"alg":"RS256","kid":"k","${name}":"x"}`, CLAIMS),
          'header_not_acceptable',
        ] as const,
    ),
  ]

  it.each(refused)('refuses %s', (_name, token, malformation) => {
    expect(preparseJwt(token)).toBe(malformation)
  })

  it('takes linear time for a million dots', () => {
    expect(preparseJwt('.'.repeat(1_000_000))).toBe('too_large')
  })
})

describe('strict JSON', () => {
  it.each([
    '{"a":1,"a":1}',
    '{"a":{"b":1,"b":2}}',
    '{"a":1e400}',
    '{"a":9007199254740993}',
    '{"a":9007199254740993.0}',
    '{"a":9007199254740993e0}',
    '{"a":1e-400}',
    '{"a":01}',
    '{"a":+1}',
    '{"a":.5}',
    '{"a":NaN}',
    '{"a":"\\ud800"}',
    '{"a":"\\x41"}',
    '{"a":"\u0001"}',
    '{"a":1,}',
    '{a:1}',
    "{'a':1}",
    '{"a":1} x',
    '{"a":undefined}',
    '',
    '[]',
    'null',
    `${'{"a":'.repeat(17)}1${'}'.repeat(17)}`,
    `{"a":${'['.repeat(16)}${']'.repeat(16)}}`,
    `{${Array.from({ length: 201 }, (_, i) => `"k${i}":0`).join(',')}}`,
  ])('refuses %s', (text) => {
    expect(parseStrictObject(text)).toBeUndefined()
  })

  it('reads 16 levels and 200 names', () => {
    expect(parseStrictObject(`${'{"a":'.repeat(16)}1${'}'.repeat(16)}`)).toBeDefined()
    expect(
      parseStrictObject(`{${Array.from({ length: 200 }, (_, i) => `"k${i}":0`).join(',')}}`),
    ).toBeDefined()
  })

  it('gives objects without a prototype, so that every name is just a name', () => {
    const object = parseStrictObject('{"__proto__":{"x":1},"constructor":2}')
    expect(Object.getPrototypeOf(object)).toBeNull()
    expect(Object.keys(object ?? {})).toEqual(['__proto__', 'constructor'])
  })

  it('reads what JSON.parse reads, wherever it accepts', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 6 })), (value) => {
        const text = JSON.stringify(value)
        const read = parseStrictObject(text)
        if (read !== undefined) expect(JSON.parse(JSON.stringify(read))).toEqual(JSON.parse(text))
        else expect(isOnlyStricterAbout(text)).toBe(true)
      }),
      { numRuns: 1000 },
    )
  })

  it('reads every kind of value', () => {
    const text =
      '{"a":null,"b":true,"c":false,"d":-1.5e3,"e":"x\\n\\u00e4","f":[],"g":[null,{}],"h":{"i":[1, 2]}}'
    expect(JSON.stringify(parseStrictObject(text))).toBe(JSON.stringify(JSON.parse(text)))
  })

  it('answers any text whatever', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect([undefined, 'object']).toContain(parseStrictObject(text) && 'object')
        expect(preparseJwt(text)).toBeTypeOf('string')
      }),
      { numRuns: 1000 },
    )
  })
})

/** What a text written by JSON.stringify can have that the strict reader refuses: big numbers, surrogates, many names. */
function isOnlyStricterAbout(text: string): boolean {
  const names = text.match(/":/g)?.length ?? 0
  return /\d{16}|e\+\d/.test(text) || /\\ud[89a-f]/.test(text) || names > 200
}
