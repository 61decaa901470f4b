import { createHmac, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { isSecretDigest, makeClientSecret, verifyClientSecret } from '../../functions/core/client-secret.ts'

const made = makeClientSecret(randomBytes)
const other = makeClientSecret(randomBytes)

/** A digest as it would be for a secret of somebody's own choice. */
function digestFor(secret: string): string {
  const salt = Buffer.alloc(16, 7)
  const digest = createHmac('sha256', salt).update(secret).digest('base64url')
  return `hmac-sha256:${salt.toString('base64url')}:${digest}`
}

describe('a client secret', () => {
  it('is 256 random bits, and its digest is HMAC-SHA-256 under a salt of its own', () => {
    expect(made.secret).toMatch(/^[\w-]{43}$/)
    expect(made.digest).toMatch(/^hmac-sha256:[\w-]{22}:[\w-]{43}$/)
    const [, salt = '', digest] = made.digest.split(':')
    const key = Buffer.from(salt, 'base64url')
    expect(createHmac('sha256', key).update(made.secret).digest('base64url')).toBe(digest)
    expect(other).not.toEqual(made)
    expect(isSecretDigest(made.digest)).toBe(true)
  })

  it('verifies by its own digest, wherever that stands', () => {
    expect(verifyClientSecret(made.secret, [made.digest])).toBe(true)
    expect(verifyClientSecret(made.secret, [made.digest, other.digest])).toBe(true)
    expect(verifyClientSecret(made.secret, [other.digest, made.digest])).toBe(true)
  })

  it.each([
    ['by another digest', made.secret, [other.digest]],
    ['by no digest', made.secret, []],
    ['in another case', made.secret.toUpperCase(), [made.digest]],
    ['with something after it', `${made.secret}x`, [made.digest]],
    ['by its digest itself', made.digest, [made.digest]],
    ['if it is empty', '', [digestFor('')]],
    ['by a digest that is none', made.secret, ['hmac-sha256::']],
  ])('does not verify %s', (_, secret, digests) => {
    expect(verifyClientSecret(secret, digests)).toBe(false)
  })

  it('is never shorter than a generated one, whatever digest there is of it', () => {
    const long = 'x'.repeat(43)
    expect(verifyClientSecret(long, [digestFor(long)])).toBe(true)
    const short = 'x'.repeat(42)
    expect(verifyClientSecret(short, [digestFor(short)])).toBe(false)
  })
})
