import { importJWK, type JWK } from 'jose'
import type { VerificationKey } from './ports.ts'
import type { PublicJwk } from './types.ts'

const KEY_MEMBERS = ['kty', 'crv', 'x', 'y', 'n', 'e'] as const

/**
 * The key made ready for `jose`, from its mathematical members alone. A key that the runtime cannot import, such as a
 * point off its curve, is no key: `undefined`.
 */
export async function importPublicKey(
  key: PublicJwk,
  algorithm: string,
): Promise<VerificationKey | undefined> {
  const bare = Object.fromEntries(KEY_MEMBERS.filter((name) => name in key).map((name) => [name, key[name]]))
  try {
    const imported = await importJWK(bare as JWK, algorithm)
    return imported instanceof Uint8Array ? undefined : imported
  } catch {
    return undefined
  }
}
