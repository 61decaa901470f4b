import { createPublicKey, verify } from 'node:crypto'
import { existsSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { rawEcdsaSignature } from '../../functions/adapters/ecdsa-der.ts'
import { importPublicKey } from '../../functions/core/import-public-key.ts'
import { fitsAlgorithm, readJwks } from '../../functions/core/issuer-jwks.ts'
import { type PreparsedJwt, preparseJws } from '../../functions/core/jwt-preparse.ts'
import { authenticate } from '../../functions/core/subject-token.ts'
import type { PublicJwk } from '../../functions/core/types.ts'
import { craft, craftingKey, encodePart } from '../attacks/crafted-jws.ts'
import { VECTORS, type Vector, type VectorGroup, vectorGroups } from './wycheproof.ts'

/** All that policy can allow. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']

/** What becomes of a token on its way to its claims: read, find the key, import it, verify. */
async function verdictOn(jws: unknown, keys: object): Promise<string> {
  if (typeof jws !== 'string') return 'no text'
  const read = preparseJws(jws)
  if (typeof read === 'string') return read
  if (!ALGORITHMS.includes(read.algorithm)) return 'algorithm not allowed'
  const key = readJwks('keys' in keys ? keys : { keys: [keys] })?.get(read.kid)
  if (key === undefined || !fitsAlgorithm(key, read.algorithm)) return 'no such key'
  const imported = await importPublicKey(key, read.algorithm)
  if (imported === undefined) return 'no such key'
  const verified = await authenticate(read as unknown as PreparsedJwt, imported)
  return 'refused' in verified ? verified.refused.kind : 'accepted'
}

/** Good vectors that the broker refuses, and why it may. */
const REFUSED: Readonly<Record<string, { readonly because: string; readonly tcIds: readonly number[] }[]>> = {
  json_web_signature: [
    {
      because: 'a MAC: whoever can check it can make it',
      tcIds: [1, 348, 352, 357, 358, 359, 372, 373, 376, 377],
    },
    { because: 'an empty payload: a JWT has claims', tcIds: [259, 264, 268, 272, 320, 325] },
    { because: 'the key is published for another algorithm', tcIds: [346, 350] },
    { because: 'the key is published for ES521, which does not exist', tcIds: [347, 351] },
  ],
  json_web_key: [{ because: 'a MAC', tcIds: [2, 13, 14, 15] }],
  json_web_crypto: [{ because: 'a MAC', tcIds: [1, 48] }],
}

describe.skipIf(!existsSync(VECTORS))(`Wycheproof in ${VECTORS}, or WYCHEPROOF_VECTORS`, () => {
  describe.each(['json_web_signature', 'json_web_key', 'json_web_crypto'])('%s', (file) => {
    const explained = (REFUSED[file] ?? []).flatMap(({ tcIds }) => tcIds).toSorted((a, b) => a - b)
    const cases = vectorGroups(file).flatMap((group) => group.tests.map((test) => ({ group, test })))
    const keysOf = ({ public: published, private: secret = {} }: VectorGroup) => published ?? secret

    it('has cases', () => {
      expect(cases.length).toBeGreaterThan(20)
    })

    it('has no invalid token that is accepted', async () => {
      const accepted: Vector[] = []
      for (const { group, test } of cases)
        if (
          test.result === 'invalid' &&
          (await verdictOn(test.jws ?? test.jwe, keysOf(group))) === 'accepted'
        )
          accepted.push(test)
      expect(accepted).toEqual([])
    })

    it('has no valid token that is refused without a reason', async () => {
      const refused: number[] = []
      for (const { group, test } of cases)
        if (
          test.result === 'valid' &&
          test.jws !== undefined &&
          (await verdictOn(test.jws, keysOf(group))) !== 'accepted'
        )
          refused.push(test.tcId)
      expect(refused).toEqual(explained)
    })
  })

  it('json_web_encryption has nothing that is read at all', () => {
    const read = vectorGroups('json_web_encryption')
      .flatMap(({ tests }) => tests)
      .filter(({ jwe }) => typeof jwe === 'string' && typeof preparseJws(jwe) !== 'string')
    expect(read).toEqual([])
  })

  const bytes = (hex = ''): Buffer => Buffer.from(hex, 'hex')
  const keyOf = ({ publicKeyDer }: VectorGroup) =>
    createPublicKey({ key: bytes(publicKeyDer), format: 'der', type: 'spki' })

  it('ecdsa_secp256r1_sha256: DER becomes r and s if it is strict, and then verifies as Wycheproof says', () => {
    for (const group of vectorGroups('ecdsa_secp256r1_sha256'))
      for (const { tcId, comment, result, msg, sig } of group.tests) {
        const raw = rawEcdsaSignature(bytes(sig), 32)
        const key = { key: keyOf(group), dsaEncoding: 'ieee-p1363' } as const
        const isVerified = raw !== undefined && verify('sha256', bytes(msg), key, raw)
        expect(isVerified, `${tcId} ${comment}`).toBe(result === 'valid')
      }
  })

  it('ecdsa_secp256r1_sha256_p1363: r and s survive the way to DER and back', () => {
    const valid = vectorGroups('ecdsa_secp256r1_sha256_p1363').flatMap(({ tests }) =>
      tests.filter(({ result }) => result === 'valid'),
    )
    for (const { sig, comment } of valid)
      expect(rawEcdsaSignature(derOf(bytes(sig)), 32), comment).toEqual(new Uint8Array(bytes(sig)))
  })

  /** Raw signatures, by the key as it is imported and the runtime as `jose` uses it. */
  describe.each([
    ['rsa_signature_2048_sha256', 'RS256', { name: 'RSASSA-PKCS1-v1_5' }],
    ['rsa_pss_2048_sha256_mgf1_32', 'PS256', { name: 'RSA-PSS', saltLength: 32 }],
    ['ecdsa_secp256r1_sha256_p1363', 'ES256', { name: 'ECDSA', hash: 'SHA-256' }],
    ['ecdsa_secp384r1_sha384_p1363', 'ES384', { name: 'ECDSA', hash: 'SHA-384' }],
    ['ed25519', 'EdDSA', { name: 'Ed25519' }],
  ] as const)('%s', (file, algorithm, parameters) => {
    it('is verified as Wycheproof says', async () => {
      const wrong: string[] = []
      for (const group of vectorGroups(file)) {
        const key = await importPublicKey(keyOf(group).export({ format: 'jwk' }) as PublicJwk, algorithm)
        for (const { tcId, comment, result, msg, sig } of group.tests) {
          const isVerified = await crypto.subtle.verify(parameters, key as never, bytes(sig), bytes(msg))
          if (result !== 'acceptable' && isVerified !== (result === 'valid')) wrong.push(`${tcId} ${comment}`)
        }
      }
      expect(wrong).toEqual([])
    })
  })
})

/** Strict DER of the r and s of a signature. */
function derOf(raw: Buffer): Buffer {
  const integer = (half: Buffer): Buffer => {
    const first = half.findIndex((byte) => byte !== 0)
    const digits = half.subarray(first)
    const padded = (digits[0] ?? 0) > 0x7f ? Buffer.concat([Buffer.alloc(1), digits]) : digits
    return Buffer.concat([Buffer.from([0x02, padded.length]), padded])
  }
  const body = Buffer.concat([
    integer(raw.subarray(0, raw.length / 2)),
    integer(raw.subarray(raw.length / 2)),
  ])
  return Buffer.concat([Buffer.from([0x30, body.length]), body])
}

type Change = (token: string) => string

const inPart =
  (part: number, change: (text: string) => string): Change =>
  (token) =>
    token
      .split('.')
      .map((text, at) => (at === part ? change(text) : text))
      .join('.')
const PARTS = ['header', 'payload', 'signature'] as const

/** The base64 cases of json_web_signature, which it has for a MAC only, by what each does to a token. */
const BASE64: Readonly<Record<string, (text: string) => string>> = {
  'a space in it': (text) => `${text.slice(0, 5)} ${text.slice(5)}`,
  'spaces around it': (text) => ` ${text} `,
  'a line end in it': (text) => `${text.slice(0, 5)}\n${text.slice(5)}`,
  'a character of another alphabet in it': (text) => `${text.slice(0, 5)}?${text.slice(5)}`,
  'a character of another alphabet behind it': (text) => `${text}?`,
  'a + for its last character': (text) => `${text.slice(0, -1)}+`,
  'a / for its last character': (text) => `${text.slice(0, -1)}/`,
  'padding behind it': (text) => `${text}=`,
  'padding twice': (text) => `${text}==`,
  'padding in it': (text) => `${text.slice(0, 4)}=${text.slice(4)}`,
  'one character too many': (text) => text + 'A'.repeat(5 - (text.length % 4 || 4)),
}

describe.each(['RS256', 'ES256'])('the base64 cases of Wycheproof, for %s', (alg) => {
  const key = craftingKey(alg, 'key-1')
  const keys = { keys: [key.jwk] }
  // Header and payload of lengths whose last character has bits to spare.
  const header = { pad: encodePart({ alg, kid: 'key-1', typ: 'JWT', pad: '' }).length % 4 === 0 ? 'x' : '' }
  const payload = { sub: encodePart({ sub: 'x' }).length % 4 === 0 ? 'xx' : 'x' }
  const token = craft(key, payload, header)

  it('accept the token as it was made', async () => {
    expect(await verdictOn(token, keys)).toBe('accepted')
  })

  it('accept white space in the JSON of the header', async () => {
    const spaced = JSON.stringify({ alg, kid: 'key-1' }, null, '\t')
    expect(await verdictOn(craft(key, payload, spaced), keys)).toBe('accepted')
  })

  for (const [at, part] of PARTS.entries()) {
    it.each(Object.entries(BASE64))(`refuse the ${part} with %s`, async (_name, change) => {
      expect(await verdictOn(inPart(at, change)(token), keys)).toMatch(/^not_c/)
    })

    it(`refuse the ${part} with bits set that nobody reads`, async () => {
      const twin = inPart(at, withUnusedBits)(token)
      expect(twin).not.toBe(token)
      expect(await verdictOn(twin, keys)).toBe('not_canonical_base64url')
    })
  }
})

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

function withUnusedBits(text: string): string {
  const last = ALPHABET.indexOf(text.at(-1) ?? '')
  return text.slice(0, -1) + ALPHABET.charAt(last | 1)
}
