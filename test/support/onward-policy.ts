import type { CompiledPolicy } from '../../functions/core/policy/compiled.ts'
import { PAYMENTS, RECEIPTS, testPolicy } from './broker.ts'

/**
 * The test policy, but two targets may pass on their tokens to each other as often as they like, anybody may act for anybody
 * there, and one client may introspect and revoke whatever there is.
 */
export function onwardPolicy(): CompiledPolicy {
  const policy = testPolicy()
  const onward = policy.grants.filter(({ issuer }) => issuer === 'broker')
  const passing = ['payments-api', 'receipts-api'].map((target) => ({
    ...onward[0],
    id: `onward-${target}`,
    target,
    when: [{ path: ['aud'], anyOf: [PAYMENTS, RECEIPTS].map((value) => ({ kind: 'equals', value })) }],
    lifetimeSeconds: 600,
  }))
  const anybody = [{ path: ['sub'], anyOf: [{ kind: 'glob', pattern: '**' }] }]
  const actors = ['pod', 'broker'].map((issuer) => ({ issuer, when: anybody }))
  const delegated = [...passing, ...policy.grants.filter(({ id }) => id === 'pod-payments')].map((grant) => ({
    ...grant,
    id: `${grant.id}-for`,
    actors,
  }))
  const targets = policy.targets.map(({ id }) => id)
  const clients = policy.clients.map((client) =>
    client.id === 'legacy' ? { ...client, introspects: targets, revokes: targets } : client,
  )
  const grants = [...policy.grants.filter((grant) => !onward.includes(grant)), ...passing, ...delegated]
  return { ...policy, clients, grants } as unknown as CompiledPolicy
}
