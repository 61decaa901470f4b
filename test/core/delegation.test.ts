import { describe, expect, it } from 'vitest'
import { delegate } from '../../functions/core/delegation.ts'
import { LIMITS } from '../../functions/core/limits.ts'
import { refuseRevoked, revocationKeysFor, revocationKeysOf } from '../../functions/core/revocation.ts'
import type { ValidatedSubject } from '../../functions/core/subject-token.ts'

const ids = (name: string, count: number) => Array.from({ length: count }, (_, at) => `${name}-${at}`)

function tokenOf(subject: string, changes: object = {}): ValidatedSubject {
  const token = {
    issuer: 'ci',
    claims: { iss: 'https://ci', sub: subject },
    subject,
    idp: `https://${subject}`,
    txn: undefined,
    lineage: [subject],
    clients: [],
    signedBy: [],
    actors: [],
    actorKeys: [],
    ...changes,
  }
  return token as unknown as ValidatedSubject
}

const long = (subject: string, count: number) =>
  tokenOf(subject, { lineage: ids(subject, count), clients: ids(`client-${subject}`, count) })

describe('two tokens', () => {
  it('leave in the issued one all that could revoke the actor, and what the subject’s carried', () => {
    const actor = tokenOf('pod:worker', { txn: 'family', signedBy: ['kid'], clients: ['shop'] })
    const subject = tokenOf('ci:job', { actors: ['pod:first'], actorKeys: ['subject#pod:first'] })
    expect(delegate(subject, actor, 3)).toEqual({
      actor,
      actors: ['pod:worker', 'pod:first'],
      actorKeys: ['subject#pod:first', ...new Set(revocationKeysOf(actor))],
    })
    expect(delegate(subject, undefined, 3)).toMatchObject({ actors: ['pod:first'], actor: undefined })
  })

  it('are refused where one read could not tell whether they are revoked', () => {
    const fits = delegate(long('ci:job', 20), long('pod:worker', 20), 3)
    expect(fits).toHaveProperty('actors')
    expect(delegate(long('ci:job', 30), long('pod:worker', 30), 3)).toEqual({
      refused: { kind: 'lineage_too_long' },
    })
    expect(LIMITS.revocationKeys + 4).toBeLessThan(100)
  })

  it('need a limit: without one nobody acts', () => {
    for (const depth of [0, Number.NaN, undefined as unknown as number])
      expect(delegate(tokenOf('ci:job'), tokenOf('pod:worker'), depth)).toEqual({
        refused: { kind: 'delegation_too_deep' },
      })
    const four = tokenOf('ci:job', { actors: ids('pod', 3) })
    expect(delegate(four, tokenOf('pod:worker'), 99)).toEqual({ refused: { kind: 'delegation_too_deep' } })
  })

  it('are each held against their own cut-offs', () => {
    const subject = tokenOf('ci:job', { issuedAt: 100 })
    const actor = tokenOf('pod:worker', { issuedAt: 50 })
    const authorised = { subject, actor, clientId: 'ci:job' } as never
    const issued = { id: 'issued', jti: 'issued' } as never
    const refusedBy = (key: string, cutOff: number) => {
      expect(revocationKeysFor(authorised, issued)).toContain(key)
      return refuseRevoked(authorised, issued, new Map([[key as never, cutOff]]))
    }
    const ofActor = { refused: { kind: 'token_revoked', by: 'subject' }, of: 'actor_token' }
    expect(refusedBy('subject#ci:job', 99)).toBeUndefined()
    expect(refusedBy('subject#ci:job', 100)).toEqual({ refused: { kind: 'token_revoked', by: 'subject' } })
    expect(refusedBy('subject#pod:worker', 49)).toBeUndefined()
    expect(refusedBy('subject#pod:worker', 50)).toEqual(ofActor)
    expect(refusedBy('token#issued', 1)).toEqual({ refused: { kind: 'token_revoked', by: 'token' } })
  })
})
