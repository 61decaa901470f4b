import {
  constants,
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto'
import type { PublicJwk } from '../../functions/core/types.ts'

/** A key pair under the name that its issuer publishes it by. */
export interface CraftingKey {
  readonly kid: string
  readonly alg: string
  readonly privateKey: KeyObject
  /** The public half, with `kid` and without `alg`, as careless issuers publish it. */
  readonly jwk: PublicJwk
}

/** JSON text, bytes, or an object to write as JSON. */
export type Part = string | Uint8Array | object

export function craftingKey(alg: string, kid: string, rsaBits = 2048): CraftingKey {
  const privateKey = generateKey(alg, rsaBits)
  const jwk = createPublicKey(privateKey).export({ format: 'jwk' }) as PublicJwk
  return { kid, alg, privateKey, jwk: { ...jwk, kid } }
}

/** A compact JWS of exactly these parts, with a real signature: also of what no library would sign. */
export function craft(key: CraftingKey, payload: Part, header: Part = {}): string {
  return signParts(key, [headerOf(key, header), payload])
}

/** As {@link craft}, with every header parameter given. */
export function craftWithHeader(key: CraftingKey, header: Part, payload: Part): string {
  return signParts(key, [header, payload])
}

function headerOf({ alg, kid }: CraftingKey, header: Part): Part {
  return typeof header === 'string' || header instanceof Uint8Array
    ? header
    : { alg, kid, typ: 'JWT', ...header }
}

function signParts(key: CraftingKey, parts: readonly Part[]): string {
  const input = parts.map(encodePart).join('.')
  return `${input}.${signatureOf(key, input).toString('base64url')}`
}

export function encodePart(part: Part): string {
  const bytes = typeof part === 'string' || part instanceof Uint8Array ? part : JSON.stringify(part)
  return Buffer.from(bytes as string).toString('base64url')
}

/** The JWS signature of `input` by the key, as its algorithm says. */
export function signatureOf({ alg, privateKey: key }: CraftingKey, input: string): Buffer {
  const data = Buffer.from(input)
  const hash = `sha${alg.slice(2)}`
  if (alg === 'EdDSA' || alg === 'Ed448') return sign(null, data, key)
  if (alg.startsWith('HS')) return createHmac(hash, key).update(data).digest()
  if (alg.startsWith('ES')) return sign(hash, data, { key, dsaEncoding: 'ieee-p1363' })
  if (alg.startsWith('PS'))
    return sign(hash, data, {
      key,
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: Number(alg.slice(2)) / 8,
    })
  return sign(hash, data, key)
}

/** An HMAC over the same text with anything an attacker may know as the secret. */
export function craftHmac(alg: string, secret: Uint8Array | string, header: object, payload: object): string {
  const input = [{ alg, typ: 'JWT', ...header }, payload].map(encodePart).join('.')
  const mac = createHmac(`sha${alg.slice(2)}`, secret)
    .update(input)
    .digest('base64url')
  return `${input}.${mac}`
}

/** Random text that occurs nowhere else: what must not be found again. */
export function canary(bytes = 24): string {
  return randomBytes(bytes).toString('base64url')
}

function generateKey(alg: string, modulusLength: number): KeyObject {
  if (alg.startsWith('ES')) {
    const namedCurve = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }[alg] ?? 'P-256'
    return generateKeyPairSync('ec', { namedCurve }).privateKey
  }
  if (alg === 'EdDSA') return generateKeyPairSync('ed25519').privateKey
  if (alg === 'Ed448') return generateKeyPairSync('ed448').privateKey
  return generateKeyPairSync('rsa', { modulusLength }).privateKey
}
