import { accessTokenClaims, compactJws, signingInputOf } from './access-token.ts'
import type { Authorised, AuthorisedSession, AuthorisedToken } from './authorise.ts'
import { credentialProcessDocument } from './aws-credentials.ts'
import { tokenTypeOf } from './confirmation.ts'
import type { ManifestKey } from './key-lifecycle.ts'
import { LIMITS } from './limits.ts'
import { readOwnClaims } from './own-claims.ts'
import type {
  CredentialIssuer,
  CredentialOutcome,
  IssuedIdentity,
  ReferenceTokens,
  Signer,
  StatusEntries,
  StatusEntry,
  StatusIndex,
} from './ports.ts'
import { handleHashOf, handleOf } from './reference-token.ts'
import { type Refused, refuse } from './refusal.ts'
import { KEPT_AFTER_EXPIRY_SECONDS } from './revocation.ts'
import { ringOfTarget } from './signing-ring.ts'
import type { JsonObject } from './types.ts'
import { signWebIdentity } from './web-identity.ts'

/** What it takes to make access tokens of both formats, and to start sessions. */
export interface Mint {
  /** The broker's own issuer URL. */
  readonly issuer: string
  readonly signer: Signer
  readonly references: ReferenceTokens
  readonly statuses: StatusEntries
  /** None in functions that may not start sessions of AWS roles: they get no request for one. */
  readonly credentials?: CredentialIssuer | undefined
  /** 256 random bits, base64url. */
  readonly randomSecret: () => string
  /** 128 random bits, base64url. */
  readonly randomId: () => string
}

/** What the client gets, as text. */
export interface Released {
  readonly text: string
  readonly tokenType: ReturnType<typeof tokenTypeOf> | 'N_A'
  /** Epoch seconds. */
  readonly expiresAt: number
}

/** Makes what one exchange gives: a JWS, a handle, or credentials. The one place where the formats differ. */
export interface Minter {
  /** The key that signs, where one does. */
  readonly key: ManifestKey | undefined
  /** What it makes is not to be released before the exchange is recorded and nothing found to be revoked. */
  mint(issued: IssuedIdentity): Promise<string>
  /** What the client gets for what was minted. Called once all agree. */
  release(minted: string, issued: IssuedIdentity): Promise<Released | Refused>
}

/** The minter for the target's format. Throws {@link DependencyUnavailable} where there is no key to sign with. */
export async function minterFor(authorised: Authorised, world: Mint): Promise<Minter> {
  if (authorised.session !== undefined) return sessionMinter(authorised, world)
  switch (authorised.target.format) {
    case 'jwt':
      return jwtMinter(authorised, world)
    case 'reference':
      return referenceMinter(authorised, world)
  }
}

/** A token of ours is what was minted. */
function asToken({ confirmation }: AuthorisedToken): Minter['release'] {
  const tokenType = tokenTypeOf(confirmation)
  return async (minted, { expiresAt }) => ({ text: minted, tokenType, expiresAt })
}

async function jwtMinter(authorised: AuthorisedToken, { issuer, signer, statuses }: Mint): Promise<Minter> {
  const key = await signer.activeKey(ringOfTarget(authorised.target))
  return {
    key,
    mint: async (issued) => {
      const claims = accessTokenClaims(authorised, issued, issuer)
      const signingInput = signingInputOf(claims, key)
      const [signature] = await Promise.all([
        signer.sign(key, signingInput),
        issued.status && statuses.write(statusEntryOf(claims, issued.status, { issuer, signedBy: key.kid })),
      ])
      return compactJws(signingInput, signature)
    },
    release: asToken(authorised),
  }
}

/** Read from the claims as they will be read when the token comes back: a revocation finds both or neither. */
function statusEntryOf(
  claims: JsonObject,
  status: StatusIndex,
  signed: { readonly issuer: string; readonly signedBy: string },
): StatusEntry {
  const own = readOwnClaims(claims, signed)
  if ('refused' in own) throw new Error('what we are about to sign is no token of ours')
  const { tokenId, lineage, txn, subject, clients, idp, signedBy, issuedAt, actorKeys, expiresAt } = own
  const facts = { tokenId, lineage, txn, subject, clients, idp, signedBy, issuedAt, actorKeys }
  // As long as its revocation: verifiers whose clocks are behind must not see that end before the token does.
  return { status, facts, expiresAt: expiresAt + KEPT_AFTER_EXPIRY_SECONDS }
}

/** Kept so long that a verifier whose clock is behind, and then ours, can still be told about an expired token. */
const KEPT_SECONDS = 2 * LIMITS.clockSkewSeconds

function referenceMinter(authorised: AuthorisedToken, { issuer, references, randomSecret }: Mint): Minter {
  return {
    key: undefined,
    mint: async (issued) => {
      const handle = handleOf(randomSecret())
      const handleHash = handleHashOf(handle)
      if (handleHash === undefined) throw new Error('the source of randomness does not give 256 bits')
      const claims = accessTokenClaims(authorised, issued, issuer)
      await references.store({ handleHash, claims, expiresAt: issued.expiresAt + KEPT_SECONDS })
      return handle
    },
    release: asToken(authorised),
  }
}

/**
 * STS is asked only when all agree: a session cannot be taken back. What is minted beside the record is the token that STS
 * wants to see, where it wants one.
 */
async function sessionMinter({ target, session }: AuthorisedSession, world: Mint): Promise<Minter> {
  const { issuer, signer, credentials, randomId } = world
  if (credentials === undefined) throw new Error('this function starts no sessions')
  const release = (start: (minted: string) => Promise<CredentialOutcome>) => async (minted: string) => {
    const outcome = await start(minted)
    if (outcome.kind === 'denied') return refuse({ kind: 'role_not_assumable', code: outcome.code })
    return credentialProcessDocument(outcome.credentials, session)
  }
  if (target.assume === 'role')
    return { key: undefined, mint: async () => '', release: release(() => credentials.withOwnRole(session)) }
  // The only algorithm that IAM takes from every issuer.
  const key = await signer.activeKey('RS256')
  return {
    key,
    mint: (issued) =>
      signWebIdentity(
        session,
        { issuer, target: target.id, jti: randomId(), now: issued.issuedAt, key },
        signer,
      ),
    release: release((token) => credentials.withWebIdentity(session, token)),
  }
}
