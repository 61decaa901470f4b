import type { AwsTarget, CompiledPolicy, Grant } from '../../functions/core/policy/compiled.ts'
import { indexPolicy } from '../../functions/core/policy/decide.ts'
import { AWS_CREDENTIALS_TYPE, TOKEN_EXCHANGE_GRANT } from '../../functions/core/token-request.ts'
import { MemoryCredentialIssuer, OWN_ROLE, policyWithRoles, ROLE, webIdentityJudge } from './aws-roles.ts'
import { createTestBroker, NOW, type TestBroker } from './broker.ts'
import { type Answered, createEndpoints, type TestEndpoints, worldOf } from './endpoints.ts'

export interface AwsBroker {
  readonly broker: TestBroker
  readonly sts: MemoryCredentialIssuer
  readonly endpoints: TestEndpoints
  /** A token of `pod`, which may be used again, with an hour to live. */
  subjectToken(changes?: Record<string, unknown>, from?: 'ci' | 'pod' | 'job'): Promise<string>
  /** A token request for credentials of the role, with parameters changed. */
  exchange(
    form: Readonly<Record<string, string>>,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Answered>
}

/** The function that gives credentials, with an STS that verifies our tokens, and roles that trust `target:deploy`. */
export async function createAwsBroker(...targets: readonly Partial<AwsTarget>[]): Promise<AwsBroker> {
  return awsBrokerOf(policyWithRoles(...targets))
}

/** The same, where tokens of `job` may act for the subjects of `pod`, and have to. */
export async function createDelegatingAwsBroker(changes: Partial<AwsTarget>): Promise<AwsBroker> {
  const policy = policyWithRoles(changes)
  const anybody = [{ path: ['sub'], anyOf: [{ kind: 'glob', pattern: '**' }] }]
  const actors = [{ issuer: 'job', when: anybody }] as unknown as Grant['actors'] & object
  const grants = policy.grants.map((grant) => (grant.id === 'pod-deploy' ? { ...grant, actors } : grant))
  return awsBrokerOf({ ...policy, grants })
}

export async function awsBrokerOf(policy: CompiledPolicy): Promise<AwsBroker> {
  const broker = await createTestBroker(policy)
  const sts = new MemoryCredentialIssuer(webIdentityJudge(broker.keys), () => NOW, [OWN_ROLE])
  const world = { ...worldOf(broker), policy: indexPolicy(policy), credentials: sts }
  const endpoints = createEndpoints(broker, world)
  return {
    broker,
    sts,
    endpoints,
    subjectToken: (changes = {}, from = 'pod') => broker.subjectToken(from, { exp: NOW + 3600, ...changes }),
    exchange: (form, headers = {}) =>
      endpoints.token({
        form: {
          grant_type: TOKEN_EXCHANGE_GRANT,
          subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
          requested_token_type: AWS_CREDENTIALS_TYPE,
          audience: ROLE,
          ...form,
        },
        headers,
      }),
  }
}
