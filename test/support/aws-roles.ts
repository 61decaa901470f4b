import { compactVerify, importJWK } from 'jose'
import type { AwsSession } from '../../functions/core/aws-session.ts'
import { SessionRejected } from '../../functions/core/fault.ts'
import type { AwsTarget, CompiledPolicy } from '../../functions/core/policy/compiled.ts'
import type { CredentialIssuer, CredentialOutcome } from '../../functions/core/ports.ts'
import type { VerifyWebIdentity } from '../../lib/local/aws/sts.ts'
import { BROKER_ISSUER, testPolicy } from './broker.ts'
import type { MemoryKeys } from './fakes.ts'

export const ROLE = 'arn:aws:iam::222222222222:role/deploy'
export const OWN_ROLE = 'arn:aws:iam::222222222222:role/batch'

/** A role that takes a web identity, as it compiles. */
export function awsTarget(changes: Partial<AwsTarget> = {}): AwsTarget {
  return {
    id: 'deploy',
    audience: ROLE,
    resources: [],
    scopes: [],
    format: 'aws-credentials',
    roleArn: ROLE,
    assume: 'web-identity',
    durationSeconds: 900,
    sessionTags: { repository: [{ path: ['repository'] }] },
    transitiveTags: ['repository'],
    outlive: 'refuse',
    ...changes,
  } as AwsTarget
}

/** The test policy with roles in it, for all issuers; the tokens of `pod` and `job` live long enough. */
export function policyWithRoles(...changes: readonly Partial<AwsTarget>[]): CompiledPolicy {
  const policy = testPolicy()
  const targets = (changes.length === 0 ? [{}] : changes).map(awsTarget)
  const grants = targets.flatMap(({ id }) =>
    ['ci', 'pod', 'job', 'desk'].map((issuer) => ({
      id: `${issuer}-${id}`,
      issuer,
      when: [{ path: ['repository_id'], anyOf: [{ kind: 'equals', value: '123456' }] }],
      target: id,
      scopes: [],
      defaultScopes: [],
      lifetimeSeconds: 900,
      claims: {},
    })),
  )
  return {
    ...policy,
    issuers: policy.issuers.map((issuer) => ({ ...issuer, maxLifetimeSeconds: 7200 })),
    targets: [...policy.targets, ...targets],
    grants: [...policy.grants, ...(grants as unknown as CompiledPolicy['grants'])],
  }
}

/** IAM's part, with the roles' trust policies: by role the `sub` that it trusts. The signature is verified. */
export function webIdentityJudge(
  keys: MemoryKeys,
  trusted: Readonly<Record<string, string>> = { [ROLE]: 'target:deploy' },
): VerifyWebIdentity {
  return async (token, roleArn) => {
    const key = await keys.activeKey('RS256')
    const publicKey = await importJWK({ ...key.publicJwk } as never, 'RS256')
    try {
      const { payload, protectedHeader } = await compactVerify(token, publicKey, { algorithms: ['RS256'] })
      const claims = JSON.parse(Buffer.from(payload).toString()) as Record<string, unknown>
      const isOurs = claims['iss'] === BROKER_ISSUER && protectedHeader.typ === 'JWT'
      if (!isOurs || claims['aud'] !== 'sts.amazonaws.com') throw new Error('not ours')
      if (claims['sub'] !== trusted[roleArn])
        return {
          kind: 'refused',
          code: 'AccessDenied',
          message: 'Not authorized to perform sts:AssumeRoleWithWebIdentity',
        }
      return { kind: 'verified', claims }
    } catch {
      return { kind: 'refused', code: 'InvalidIdentityToken', message: 'signature' }
    }
  }
}

/** STS and the trust of its roles, in memory: whole sessions, or a fault on demand. */
export class MemoryCredentialIssuer implements CredentialIssuer {
  readonly sessions: { readonly session: AwsSession; readonly token: string | undefined }[] = []
  /** What happens to the next calls instead. */
  readonly ends: (Error | CredentialOutcome)[] = []
  private readonly verify: VerifyWebIdentity
  private readonly now: () => number
  /** Whose trust policy names our own role. */
  private readonly ownRoles: ReadonlySet<string>

  constructor(verify: VerifyWebIdentity, now: () => number, ownRoles: readonly string[] = []) {
    this.verify = verify
    this.now = now
    this.ownRoles = new Set(ownRoles)
  }

  async withWebIdentity(session: AwsSession, token: string): Promise<CredentialOutcome> {
    const verdict = await this.verify(token, session.roleArn)
    if (verdict.kind === 'verified') return this.start(session, token)
    if (verdict.code === 'AccessDenied') return { kind: 'denied', code: verdict.code }
    throw new SessionRejected(verdict.code)
  }

  async withOwnRole(session: AwsSession): Promise<CredentialOutcome> {
    if (!this.ownRoles.has(session.roleArn)) return { kind: 'denied', code: 'AccessDenied' }
    return this.start(session, undefined)
  }

  private start(session: AwsSession, token: string | undefined): CredentialOutcome {
    const end = this.ends.shift()
    if (end instanceof Error) throw end
    if (end !== undefined) return end
    const number = this.sessions.push({ session, token })
    const credentials = {
      accessKeyId: `ASIAMEMORY${number}`,
      secretAccessKey: `memory-secret-${number}`,
      sessionToken: `memory-session-${number}`,
      expiresAt: this.now() + session.durationSeconds,
    }
    return { kind: 'issued', credentials }
  }
}
