import { createECDH, type KeyObject } from 'node:crypto'
import type { Curve } from './kms-specs.ts'

/*
 * ECDSA over a digest that was made elsewhere, which node:crypto does not offer: it always hashes. The scalar
 * multiplications are OpenSSL's, through ECDH; only the arithmetic modulo the order is done here. It does not run in
 * constant time and must not sign for anything but the local cloud.
 */

interface Point {
  readonly x: bigint
  readonly y: bigint
}

/** The DER signature of a digest as long as the curve's order (FIPS 186-5, section 6.4.1). */
export function signDigestWithEcdsa(curve: Curve, privateKey: KeyObject, digest: Buffer): Buffer {
  const d = fromBytes(base64url(privateKey.export({ format: 'jwk' }).d))
  for (;;) {
    const nonce = createECDH(curve.openssl)
    const r = pointOf(curve, nonce.generateKeys()).x % curve.n
    const k = fromBytes(nonce.getPrivateKey())
    const s = (inverse(k, curve.n) * (fromBytes(digest) + r * d)) % curve.n
    if (r !== 0n && s !== 0n) return derOf(r, s)
  }
}

/** Whether the DER signature is the key's, of this digest (FIPS 186-5, section 6.4.2). */
export function verifyDigestWithEcdsa(
  curve: Curve,
  publicKey: KeyObject,
  digest: Buffer,
  signature: Buffer,
): boolean {
  const [r, s] = integersOf(signature) ?? [0n, 0n]
  if (r <= 0n || s <= 0n || r >= curve.n || s >= curve.n) return false
  const { x, y } = publicKey.export({ format: 'jwk' })
  const q = { x: fromBytes(base64url(x)), y: fromBytes(base64url(y)) }
  // u1·G + u2·Q is computed as u2·(w·G + Q) with w = u1/u2 = z/r: OpenSSL multiplies, one addition is ours.
  const w = (fromBytes(digest) * inverse(r, curve.n)) % curve.n
  const sum = w === 0n ? q : addPoints(curve, basePointTimes(curve, w), q)
  if (sum === undefined) return false
  const u2 = (r * inverse(s, curve.n)) % curve.n
  const multiplier = createECDH(curve.openssl)
  multiplier.setPrivateKey(toBytes(u2, curve.bytes))
  const product = multiplier.computeSecret(
    Buffer.concat([Buffer.of(4), toBytes(sum.x, curve.bytes), toBytes(sum.y, curve.bytes)]),
  )
  return fromBytes(product) % curve.n === r
}

function basePointTimes(curve: Curve, factor: bigint): Point {
  const multiplier = createECDH(curve.openssl)
  multiplier.setPrivateKey(toBytes(factor, curve.bytes))
  return pointOf(curve, multiplier.getPublicKey())
}

/** `undefined` is the point at infinity. */
function addPoints(curve: Curve, a: Point, b: Point): Point | undefined {
  const { p } = curve
  if (a.x === b.x && modulo(a.y + b.y, p) === 0n) return undefined
  // The curves' coefficient a is -3.
  const slope =
    a.x === b.x
      ? (3n * a.x * a.x - 3n) * inverse(modulo(2n * a.y, p), p)
      : (b.y - a.y) * inverse(modulo(b.x - a.x, p), p)
  const x = modulo(slope * slope - a.x - b.x, p)
  return { x, y: modulo(slope * (a.x - x) - a.y, p) }
}

/** Reads an uncompressed point. */
function pointOf(curve: Curve, bytes: Buffer): Point {
  return { x: fromBytes(bytes.subarray(1, 1 + curve.bytes)), y: fromBytes(bytes.subarray(1 + curve.bytes)) }
}

function inverse(value: bigint, modulus: bigint): bigint {
  let [previous, current] = [modulus, modulo(value, modulus)]
  let [previousFactor, factor] = [0n, 1n]
  while (current !== 0n) {
    const quotient = previous / current
    ;[previous, current] = [current, previous - quotient * current]
    ;[previousFactor, factor] = [factor, previousFactor - quotient * factor]
  }
  return modulo(previousFactor, modulus)
}

function modulo(value: bigint, modulus: bigint): bigint {
  const rest = value % modulus
  return rest < 0n ? rest + modulus : rest
}

function fromBytes(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString('hex')}`)
}

function toBytes(value: bigint, length: number): Buffer {
  return Buffer.from(value.toString(16).padStart(length * 2, '0'), 'hex')
}

function base64url(text: string | undefined): Buffer {
  return Buffer.from(text ?? '', 'base64url')
}

/** `SEQUENCE { r INTEGER, s INTEGER }`. At most 104 bytes on these curves, so that lengths take one byte. */
function derOf(...integers: readonly bigint[]): Buffer {
  const parts = integers.map((integer) => {
    const hex = integer.toString(16)
    const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')
    // A leading zero keeps an integer with its highest bit set positive.
    const value = (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes
    return Buffer.concat([Buffer.of(0x02, value.length), value])
  })
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.of(0x30, body.length), body])
}

/** The two integers, or `undefined` if this is not exactly the DER that {@link derOf} writes. */
function integersOf(der: Buffer): readonly [bigint, bigint] | undefined {
  const rLength = der[3] ?? 0
  const r = der.subarray(4, 4 + rLength)
  const s = der.subarray(6 + rLength)
  if (r.length === 0 || s.length === 0) return undefined
  const integers = [fromBytes(r), fromBytes(s)] as const
  return derOf(...integers).equals(der) ? integers : undefined
}
