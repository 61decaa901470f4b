import { createHash } from 'node:crypto'
import type { TokenId } from './types.ts'

/** What kind of token an id names; each kind is a name space of its own, so that a `jti` used in one is free in another. */
export type TokenKind = 'token' | 'client_assertion'

/** A token as far as its identity goes. `signingInput` is the part of a compact JWS before the last dot. */
export interface IdentifiedToken {
  readonly kind: TokenKind
  readonly issuer: string
  readonly jti: string | undefined
  readonly signingInput: string
}

/** SHA-256 of `text`, base64url without padding. */
export function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

/**
 * The id of a token: the first 16 bytes of SHA-256 over the JSON array `[kind, issuer, jti]`, base64url; without `jti`,
 * over its signing input. The signature takes no part: an ECDSA signature has a valid twin, and both are one token.
 */
export function tokenIdOf(token: IdentifiedToken): TokenId {
  const identity =
    token.jti === undefined ? token.signingInput : JSON.stringify([token.kind, token.issuer, token.jti])
  return createHash('sha256').update(identity).digest().subarray(0, 16).toString('base64url') as TokenId
}
