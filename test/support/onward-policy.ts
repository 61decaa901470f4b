import type { CompiledPolicy } from '../../functions/core/policy/compiled.ts'
import { PAYMENTS, RECEIPTS, testPolicy } from './broker.ts'

/**
 * The test policy, but two targets may pass on their tokens to each other as often as they like, and one client may
 * introspect and revoke whatever there is.
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
  const targets = policy.targets.map(({ id }) => id)
  const clients = policy.clients.map((client) =>
    client.id === 'legacy' ? { ...client, introspects: targets, revokes: targets } : client,
  )
  const grants = [...policy.grants.filter((grant) => !onward.includes(grant)), ...passing]
  return { ...policy, clients, grants } as unknown as CompiledPolicy
}
