import type { ClientId, GrantId, IssuerId, TargetId } from '../types.ts'
import { BROKER, type CompiledPolicy, type Grant, type TokenTarget } from './compiled.ts'
import { isAwsTarget, isDelegating } from './target-kinds.ts'

/** What the probe's issuer, client, target and grant are called. No name in a policy file can begin so. */
export const PROBE = '_probe'
/** The `sub` of the probe's own tokens. */
export const PROBE_SUBJECT = 'probe'
/** Below the broker's issuer URL. */
export const PROBE_KEYS_PATH = '/probe/jwks.json'

const TOKEN_SECONDS = 60
const SUBJECT_TOKEN_SECONDS = 300

/** URLs that are the probe's alone, below the broker's own. */
export function probeUrls(brokerIssuer: string) {
  return {
    issuer: `${brokerIssuer}/probe`,
    keys: `${brokerIssuer}${PROBE_KEYS_PATH}`,
    audience: `${brokerIssuer}/probe/target`,
  }
}

/**
 * The policy with what the probe needs: an issuer and a client whose key is its own, a target that nobody serves, and two
 * grants, for its token and onward. The digest stays that of the policy files.
 */
export function withProbe(policy: CompiledPolicy, brokerIssuer: string): CompiledPolicy {
  const { issuer, keys, audience } = probeUrls(brokerIssuer)
  const key = { keys: { kind: 'jwks_uri', uri: keys }, algorithms: ['ES256'] } as const
  const probeIssuer = {
    id: PROBE as IssuerId,
    issuer,
    ...key,
    audiences: [brokerIssuer],
    maxLifetimeSeconds: SUBJECT_TOKEN_SECONDS,
    clockSkewSeconds: 30,
    replay: 'single-use',
    clientAuthentication: 'none',
  } as const
  const client = {
    id: PROBE as ClientId,
    authentication: { method: 'private_key_jwt', ...key },
    introspects: [PROBE as TargetId],
    revokes: [PROBE as TargetId],
  } as const
  return {
    ...policy,
    issuers: [...policy.issuers, probeIssuer],
    clients: [...policy.clients, client],
    targets: [...policy.targets, probeTarget(policy, audience)],
    grants: [...policy.grants, grant(PROBE, probeIssuer.id, audience), grant(ONWARD, BROKER, audience)],
  }
}

/** Whether a subject of ours is the probe, at any depth of a lineage: its tokens are for its own target alone. */
export function isProbe(subject: string): boolean {
  return subject.startsWith(`${PROBE}:`)
}

const ONWARD = `${PROBE}-onward`

/** Signed as the tokens of other targets are: the exchange may sign in no other way. Credentials of AWS it does not sign. */
function probeTarget({ targets }: CompiledPolicy, audience: string): TokenTarget {
  const ofTokens = targets.filter((target) => !isAwsTarget(target))
  const isDelegated = ofTokens.length > 0 && ofTokens.every(isDelegating)
  return {
    id: PROBE as TargetId,
    audience,
    resources: [],
    scopes: [],
    format: 'jwt',
    algorithm: isDelegated ? 'ES256' : 'RS256',
    signing: isDelegated ? 'delegated' : 'kms',
    maxLifetimeSeconds: TOKEN_SECONDS,
    binding: 'none',
    dpopNonce: false,
    statusList: false,
  }
}

function grant(id: string, issuer: IssuerId, audience: string): Grant {
  const [claim, value] = issuer === BROKER ? ['aud', audience] : ['sub', PROBE_SUBJECT]
  return {
    id: id as GrantId,
    issuer,
    when: [{ path: [claim], anyOf: [{ kind: 'equals', value }] }],
    target: PROBE as TargetId,
    scopes: [],
    defaultScopes: [],
    lifetimeSeconds: TOKEN_SECONDS,
    claims: {},
  }
}
