import { expect } from 'vitest'
import { actClaim } from '../../functions/core/act-claim.ts'
import { granted } from './attack.ts'
import { grant, PAYMENTS, POLICY, RECEIPTS, SUBJECT } from './broker.ts'

/** The actor that most grants of {@link DELEGATION} have, as our tokens name it. */
export const WORKER = 'pod:worker'

/** One rule about who may act. */
export const actor = (from: string, when: object) => ({ issuer: from, when })
/** A grant that is for exchanges with one of these actors. */
export const delegated = (from: string, to: string, actors: readonly object[], when?: object) => ({
  ...grant(from, to, when),
  delegation: { actors },
})

/** Who may act for whom. Exchanges without an actor are those of {@link POLICY}, but for tokens of `job`. */
const { 'job-ledger': _, ...PLAIN } = POLICY.grants
export const DELEGATION = {
  ...POLICY,
  grants: {
    ...PLAIN,
    'for-ci': delegated('ci', 'payments', [
      actor('pod', { sub: ['worker', 'helper'] }),
      actor('job', { sub: 'worker' }),
      actor('ci', { sub: ['robot', SUBJECT] }),
      actor('ec', { sub: 'worker' }),
      actor('broker', { sub: WORKER, aud: RECEIPTS }),
    ]),
    'ledger-for-ci': delegated('ci', 'ledger', [actor('job', { sub: 'worker' })]),
    'for-pod': delegated('pod', 'payments', [
      actor('pod', { sub: 'worker' }),
      actor('ec', { sub: 'worker' }),
    ]),
    onward: grant('broker', 'receipts', { aud: [PAYMENTS, RECEIPTS] }),
    'job-ledger-for': delegated('job', 'ledger', [actor('pod', { sub: 'worker' })]),
    'for-onward': delegated(
      'broker',
      'receipts',
      [
        actor('pod', { sub: ['worker', 'helper', 'third', 'fourth', 'fifth'] }),
        actor('ci', { sub: SUBJECT }),
      ],
      { aud: [PAYMENTS, RECEIPTS] },
    ),
  },
}

/** A token of the CI job that names these actors, the current one first. */
export const actedBy = (...actors: readonly string[]) =>
  granted(({ claims, body }) => {
    expect(claims['act']).toEqual(actClaim(actors))
    expect(claims['sub']).toBe(`ci:${SUBJECT}`)
    expect(body['token_type']).toBe('Bearer')
  })
