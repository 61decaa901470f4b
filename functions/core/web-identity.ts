import { compactJws, signingInputOf } from './access-token.ts'
import type { AwsSession } from './aws-session.ts'
import type { ManifestKey } from './key-lifecycle.ts'
import { LIMITS } from './limits.ts'
import { STS_AUDIENCE, TARGET_SUBJECT } from './policy/compiled.ts'
import type { Signer } from './ports.ts'
import type { JsonObject, TargetId } from './types.ts'

/** Not `at+jwt`: nothing of ours takes such a token for an access token. */
const TYPE = 'JWT'

/** What the role's trust policy names as `sub`: exactly this target. No other token of ours has such a `sub`. */
export function webIdentitySubject(target: TargetId): string {
  return `${TARGET_SUBJECT}:${target}`
}

/**
 * The token by which STS knows that we ask for a session of the target's role, with its tags and source identity in the
 * claims that STS reads them from. It goes to STS and nowhere else.
 */
export async function signWebIdentity(
  session: AwsSession,
  about: {
    readonly issuer: string
    readonly target: TargetId
    readonly jti: string
    readonly now: number
    readonly key: ManifestKey
  },
  signer: Signer,
): Promise<string> {
  const claims: JsonObject = {
    iss: about.issuer,
    sub: webIdentitySubject(about.target),
    aud: STS_AUDIENCE,
    iat: about.now,
    exp: about.now + LIMITS.webIdentitySeconds,
    jti: about.jti,
    ...tagClaims(session),
    ...(session.sourceIdentity !== undefined && {
      'https://aws.amazon.com/source_identity': session.sourceIdentity,
    }),
  }
  const signingInput = signingInputOf(claims, about.key, TYPE)
  return compactJws(signingInput, await signer.sign(about.key, signingInput))
}

function tagClaims({ tags, transitiveTags }: AwsSession): JsonObject {
  const entries = Object.entries(tags).map(([key, value]) => [key, [value]] as const)
  if (entries.length === 0) return {}
  return {
    'https://aws.amazon.com/tags': {
      principal_tags: Object.fromEntries(entries),
      ...(transitiveTags.length > 0 && { transitive_tag_keys: transitiveTags }),
    },
  }
}
