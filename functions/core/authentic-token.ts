import { preparseJwt } from './jwt-preparse.ts'
import { BROKER, type TrustedIssuer } from './policy/compiled.ts'
import type { PolicyIndex } from './policy/decide.ts'
import type { IssuerKeys, ReferenceTokens } from './ports.ts'
import { isHandle, openHandle } from './reference-token.ts'
import { type Refused, refuse } from './refusal.ts'
import { type AuthenticToken, authenticate, fromReference } from './subject-token.ts'
import type { SubjectTokenType } from './token-request.ts'
import { trustedIssuerOf } from './trusted-issuer.ts'

/** What it takes to know a token for what it is. */
export interface TokenAuthentication {
  /** The broker's own issuer URL. */
  readonly issuer: string
  readonly policy: PolicyIndex
  readonly issuerKeys: IssuerKeys
  readonly references: ReferenceTokens
}

/** An authentic token and who issued it. Of a refused one the issuer is told if it is one of the policy's. */
export type Authentication =
  | { readonly issuer: TrustedIssuer; readonly token: AuthenticToken }
  | (Refused & { readonly issuer?: TrustedIssuer })

/**
 * Whether a token is authentic: a JWT by its issuer's signature, a handle of ours because it is known. What it says is
 * not looked at yet, beyond who issued it.
 */
export function authenticateToken(
  presented: { readonly token: string; readonly type: SubjectTokenType },
  world: TokenAuthentication,
): Promise<Authentication> {
  return isHandle(presented.token)
    ? authenticateHandle(presented.token, presented.type, world)
    : authenticateJwt(presented.token, world)
}

/** Pre-parse → issuer → key → signature. */
async function authenticateJwt(token: string, world: TokenAuthentication): Promise<Authentication> {
  const jwt = preparseJwt(token)
  if (typeof jwt === 'string') return refuse({ kind: 'token_malformed', malformation: jwt })
  const issuer = trustedIssuerOf(world.policy, jwt.claims, world.issuer)
  if (issuer === undefined) return refuse({ kind: 'issuer_not_trusted' })
  const algorithm = issuer.algorithms.find((allowed) => allowed === jwt.algorithm)
  if (algorithm === undefined) return { ...refuse({ kind: 'algorithm_not_allowed' }), issuer }
  const key = await world.issuerKeys.find(issuer, jwt.kid, algorithm)
  if (key === undefined) return { ...refuse({ kind: 'key_unknown' }), issuer }
  const authentic = await authenticate(jwt, key)
  return 'refused' in authentic ? { ...authentic, issuer } : { issuer, token: authentic }
}

/** Bounds → look-up. Its claims are our own words, if the broker still goes by the same name. */
async function authenticateHandle(
  handle: string,
  type: SubjectTokenType,
  world: TokenAuthentication,
): Promise<Authentication> {
  if (type !== 'access_token') return refuse({ kind: 'token_type_mismatch' })
  const opened = await openHandle(handle, world.references)
  if ('refused' in opened) return opened
  const issuer = trustedIssuerOf(world.policy, opened.claims, world.issuer)
  if (issuer?.id !== BROKER) return refuse({ kind: 'issuer_not_trusted' })
  return { issuer, token: fromReference(opened.claims) }
}
