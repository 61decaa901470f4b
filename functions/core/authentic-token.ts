import { type PreparsedJwt, preparseJwt } from './jwt-preparse.ts'
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

/** A token of which it is known who should have issued it. */
export interface PresentedToken {
  readonly issuer: TrustedIssuer
  /** Whether that issuer did. What else the token says is not looked at yet. */
  authenticate(): Promise<AuthenticToken | Refused>
}

/** Finds out who should have issued a token: pre-parses a JWT, looks a handle of ours up. */
export async function identifyToken(
  presented: { readonly token: string; readonly type: SubjectTokenType },
  world: TokenAuthentication,
): Promise<PresentedToken | Refused> {
  return isHandle(presented.token)
    ? identifyHandle(presented.token, presented.type, world)
    : identifyJwt(presented.token, world)
}

function identifyJwt(token: string, world: TokenAuthentication): PresentedToken | Refused {
  const jwt = preparseJwt(token)
  if (typeof jwt === 'string') return refuse({ kind: 'token_malformed', malformation: jwt })
  const issuer = trustedIssuerOf(world.policy, jwt.claims, world.issuer)
  if (issuer === undefined) return refuse({ kind: 'issuer_not_trusted' })
  return { issuer, authenticate: () => authenticateJwt(jwt, issuer, world) }
}

async function authenticateJwt(
  jwt: PreparsedJwt,
  issuer: TrustedIssuer,
  world: TokenAuthentication,
): Promise<AuthenticToken | Refused> {
  const algorithm = issuer.algorithms.find((allowed) => allowed === jwt.algorithm)
  if (algorithm === undefined) return refuse({ kind: 'algorithm_not_allowed' })
  const key = await world.issuerKeys.find(issuer, jwt.kid, algorithm)
  return key === undefined ? refuse({ kind: 'key_unknown' }) : authenticate(jwt, key)
}

/** That the broker knows the handle makes it authentic, if the broker still goes by the same name. */
async function identifyHandle(
  handle: string,
  type: SubjectTokenType,
  world: TokenAuthentication,
): Promise<PresentedToken | Refused> {
  if (type !== 'access_token') return refuse({ kind: 'token_type_mismatch' })
  const opened = await openHandle(handle, world.references)
  if ('refused' in opened) return opened
  const issuer = trustedIssuerOf(world.policy, opened.claims, world.issuer)
  if (issuer?.id !== BROKER) return refuse({ kind: 'issuer_not_trusted' })
  return { issuer, authenticate: async () => fromReference(opened.claims) }
}
