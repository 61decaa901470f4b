import { createHmac, timingSafeEqual } from 'node:crypto'

/** A generated secret: 256 random bits as 43 base64url characters. */
const SECRET_BYTES = 32
const SECRET_CHARACTERS = 43
const SALT_BYTES = 16
const DIGEST_BYTES = 32
const DIGEST = /^hmac-sha256:([A-Za-z0-9_-]+):([A-Za-z0-9_-]+)$/

/** What policy keeps of a secret: it verifies the secret and cannot give it back. */
export interface SecretDigest {
  readonly salt: Uint8Array
  readonly digest: Uint8Array
}

/**
 * A new client secret, and the digest of it for policy: HMAC-SHA-256 with a random salt as the key. The digest is fast,
 * which is sound for 256 random bits and for nothing else. `randomBytes` must be a cryptographic source.
 */
export function makeClientSecret(randomBytes: (size: number) => Uint8Array): {
  readonly secret: string
  readonly digest: string
} {
  const secret = base64url(randomBytes(SECRET_BYTES))
  const salt = randomBytes(SALT_BYTES)
  return { secret, digest: `hmac-sha256:${base64url(salt)}:${base64url(digestOf(secret, salt))}` }
}

/** Whether a text is a digest that {@link makeClientSecret} could have made. */
export function isSecretDigest(text: string): boolean {
  return readDigest(text) !== undefined
}

/** Nothing has this digest: it is compared with where there is no other, so that the work is the same. */
const NO_DIGEST: SecretDigest = { salt: new Uint8Array(SALT_BYTES), digest: new Uint8Array(DIGEST_BYTES) }

/**
 * Whether one of the digests is that of `secret`. It takes the same work, and a constant time in the content of both,
 * whether there are two digests, one or none. A secret shorter than a generated one is never accepted: the digest is fast,
 * so what could be guessed must not verify.
 */
export function verifyClientSecret(secret: string, digests: readonly string[]): boolean {
  const known = digests.map((digest) => readDigest(digest) ?? NO_DIGEST)
  const [first = NO_DIGEST, second = NO_DIGEST] = known
  const matches = [first, second].map(({ salt, digest }) => timingSafeEqual(digestOf(secret, salt), digest))
  return matches.includes(true) && secret.length >= SECRET_CHARACTERS
}

function digestOf(secret: string, salt: Uint8Array): Uint8Array {
  return createHmac('sha256', salt).update(secret).digest()
}

/** Canonical base64url of exactly the right sizes: one digest has one spelling. */
function readDigest(text: string): SecretDigest | undefined {
  const [, saltText = '', digestText = ''] = DIGEST.exec(text) ?? []
  const salt = Buffer.from(saltText, 'base64url')
  const digest = Buffer.from(digestText, 'base64url')
  if (salt.length !== SALT_BYTES || digest.length !== DIGEST_BYTES) return undefined
  return base64url(salt) === saltText && base64url(digest) === digestText ? { salt, digest } : undefined
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url')
}
