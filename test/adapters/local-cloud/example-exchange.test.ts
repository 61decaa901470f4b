import { describe, expect, inject, it } from 'vitest'
import type { CompiledPolicy } from '../../../functions/core/policy/compiled.ts'
import { curlLine } from '../../../lib/local/demo-exchange.ts'
import { DemoIssuer } from '../../../lib/local/demo-issuer.ts'
import { findExamples } from '../../../lib/local/example-exchange.ts'

describe('the exchanges that a newcomer is shown', () => {
  const grantsShown = async (policy: CompiledPolicy) => {
    const url = 'http://127.0.0.1:8080/demo-issuer'
    const demoIssuer = await DemoIssuer.create({ url, issuers: policy.issuers, clock: Date.now })
    return findExamples(policy, demoIssuer).map(({ grant }) => grant)
  }

  it('are one for each grant that asks for nothing but a token of an issuer', async () => {
    const shown = await grantsShown(inject('policy'))
    for (const grant of ['payments-ci', 'ledger-ci', 'payments-worker', 'deploy-ci'])
      expect(shown).toContain(grant)
    // They ask for a token of the broker's own, and for an actor.
    for (const grant of ['payments-onward', 'receipts-for-ci']) expect(shown).not.toContain(grant)
  })

  it('need no key or certificate that tokens are bound to', async () => {
    const policy = inject('policy')
    const targets = policy.targets.map((target) =>
      target.id === 'payments-api' && target.format !== 'aws-credentials'
        ? { ...target, binding: 'dpop' as const }
        : target,
    )
    const shown = await grantsShown({ ...policy, targets })
    expect(shown).not.toContain('payments-ci')
    expect(shown).toContain('ledger-ci')
  })

  it('need no credentials of a client', async () => {
    const policy = inject('policy')
    const issuers = policy.issuers.map((issuer) => ({ ...issuer, clientAuthentication: 'required' as const }))
    expect(await grantsShown({ ...policy, issuers })).toEqual([])
  })

  it('are commands in which a shell finds nothing else to do', () => {
    const line = curlLine('http://127.0.0.1:8080', {
      signRequest: { preset: 'gitlab' },
      audience: "https://a.example/?x=1&y='$(id)",
      scope: 'a;b',
    })
    expect(line).toContain(String.raw`audience='https://a.example/?x=1&y='\''$(id)' `)
    expect(line).toContain(`scope='a;b' `)
  })
})
