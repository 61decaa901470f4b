import { accessTokenClaims, compactJws, signingInputOf } from './access-token.ts'
import type { Authorised } from './authorise.ts'
import type { ManifestKey } from './key-lifecycle.ts'
import { LIMITS } from './limits.ts'
import { readOwnClaims } from './own-claims.ts'
import type {
  IssuedIdentity,
  ReferenceTokens,
  Signer,
  StatusEntries,
  StatusEntry,
  StatusIndex,
} from './ports.ts'
import { handleHashOf, handleOf } from './reference-token.ts'
import { KEPT_AFTER_EXPIRY_SECONDS } from './revocation.ts'
import { ringOfTarget } from './signing-ring.ts'
import type { JsonObject } from './types.ts'

/** What it takes to make access tokens of both formats. */
export interface Mint {
  /** The broker's own issuer URL. */
  readonly issuer: string
  readonly signer: Signer
  readonly references: ReferenceTokens
  readonly statuses: StatusEntries
  /** 256 random bits, base64url. */
  readonly randomSecret: () => string
}

/** Makes the text of one access token: a JWS, or a handle. The one place where the formats differ. */
export interface Minter {
  /** The key that signs, where one does. */
  readonly key: ManifestKey | undefined
  /** What it makes is not to be released before the exchange is recorded and nothing found to be revoked. */
  mint(issued: IssuedIdentity): Promise<string>
}

/** The minter for the target's format. Throws {@link DependencyUnavailable} where there is no key to sign with. */
export async function minterFor(authorised: Authorised, world: Mint): Promise<Minter> {
  switch (authorised.target.format) {
    case 'jwt':
      return jwtMinter(authorised, world)
    case 'reference':
      return referenceMinter(authorised, world)
  }
}

async function jwtMinter(authorised: Authorised, { issuer, signer, statuses }: Mint): Promise<Minter> {
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

function referenceMinter(authorised: Authorised, { issuer, references, randomSecret }: Mint): Minter {
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
  }
}
