const SEQUENCE = 0x30
const INTEGER = 0x02

/**
 * The signature r‖s that JWS wants (RFC 7518 §3.4) from the DER that KMS returns, each half padded to `size` bytes;
 * `undefined` for anything but two positive integers in strict DER. Sizes up to 55 bytes: short DER lengths only.
 */
export function rawEcdsaSignature(der: Uint8Array, size: number): Uint8Array | undefined {
  if (der[0] !== SEQUENCE || der[1] !== der.length - 2) return undefined
  const r = integerAt(der, 2)
  const s = r && integerAt(der, r.end)
  if (r === undefined || s === undefined || s.end !== der.length) return undefined
  if (r.digits.length > size || s.digits.length > size) return undefined
  const raw = new Uint8Array(2 * size)
  raw.set(r.digits, size - r.digits.length)
  raw.set(s.digits, 2 * size - s.digits.length)
  return raw
}

function integerAt(der: Uint8Array, at: number): { digits: Uint8Array; end: number } | undefined {
  const length = der[at + 1]
  if (der[at] !== INTEGER || length === undefined || length === 0 || length > 0x7f) return undefined
  const end = at + 2 + length
  const bytes = der.subarray(at + 2, end)
  if (end > der.length || (bytes[0] ?? 0) > 0x7f) return undefined
  const isPadded = bytes[0] === 0
  // A leading zero is there only to keep the sign bit clear; zero itself is no signature.
  if (isPadded && (bytes[1] ?? 0) <= 0x7f) return undefined
  return { digits: isPadded ? bytes.subarray(1) : bytes, end }
}
