import type { PublicJwk } from './types.ts'

const MIN_BITS = 2048
const MAX_BITS = 8192
const MIN_EXPONENT = 65537n

/**
 * Whether an RSA key may verify signatures: 2048 to 8192 bits, an odd modulus, an odd exponent of at least 65537, and not
 * made by the faulty generator of CVE-2017-15361 (ROCA), whose keys can be factored.
 */
export function isStrongRsa({ n, e }: PublicJwk): boolean {
  if (typeof n !== 'string' || typeof e !== 'string') return false
  const bytes = Buffer.from(n, 'base64url')
  const bits = bytes.length * 8 - Math.clz32(bytes[0] ?? 0) + 24
  // RFC 7518 §2: no leading zero octets. They would make a short modulus look long.
  if (bytes[0] === 0 || bits < MIN_BITS || bits > MAX_BITS) return false
  const modulus = unsigned(bytes)
  const exponent = unsigned(Buffer.from(e, 'base64url'))
  return isOdd(modulus) && isOdd(exponent) && exponent >= MIN_EXPONENT && !isRoca(modulus)
}

/** The odd primes that divide the constant of which the faulty generator made its primes, for keys of every size. */
const ROCA_PRIMES = [
  ...[3n, 5n, 7n, 11n, 13n, 17n, 19n, 23n, 29n, 31n, 37n, 41n, 43n, 47n, 53n, 59n, 61n, 67n, 71n, 73n, 79n],
  ...[83n, 89n, 97n, 101n, 103n, 107n, 109n, 113n, 127n, 131n, 137n, 139n, 149n, 151n, 157n, 163n, 167n],
] as const
const ROCA_GENERATOR = 65537n

/**
 * Nemec et al., "The Return of Coppersmith's Attack", §3: such a modulus is a power of 65537 modulo each of the small
 * primes. One in 200 million others is too, and is refused with them.
 */
function isRoca(modulus: bigint): boolean {
  return ROCA_PRIMES.every((prime) => isPowerOf(ROCA_GENERATOR % prime, modulus % prime, prime))
}

function isPowerOf(base: bigint, value: bigint, prime: bigint): boolean {
  let power = 1n
  do {
    if (power === value) return true
    power = (power * base) % prime
  } while (power !== 1n)
  return false
}

function unsigned(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString('hex') || '0'}`)
}

function isOdd(value: bigint): boolean {
  return value % 2n === 1n
}
