import { describe, expect, it } from 'vitest'
import { FetchedIssuerKeys } from '../../functions/adapters/fetched-issuer-keys.ts'
import { exchange } from '../../functions/core/exchange.ts'
import { compilePolicy } from '../../functions/core/policy/compile.ts'
import { lintPolicy } from '../../functions/core/policy/lint.ts'
import { CLAIMS_OF_PRESETS, formAt } from '../../functions/core/policy/preset-claims.ts'
import type { PresetName } from '../../functions/core/policy/presets.ts'
import { policyFile } from '../core/policy/policy-fixture.ts'
import { createTestBroker, NOW, OUR_AUDIENCE, PAYMENTS } from '../support/broker.ts'
import { RECORDED_TOKENS, type RecordedToken } from '../support/recorded-tokens.ts'
import { createTestIssuer, decode } from '../support/tokens.ts'

/** A broker whose policy trusts the recorded token's issuer, with a test key in the place of the issuer's own. */
async function brokerFor(recorded: RecordedToken) {
  const key = await createTestIssuer('', { algorithm: recorded.algorithm })
  const isBundle = String(recorded.issuer['issuer']).startsWith('spiffe://')
  const jwk = isBundle ? { ...key.jwk, use: 'jwt-svid' } : key.jwk
  const file = policyFile({
    issuers: { platform: { ...recorded.issuer, audiences: [OUR_AUDIENCE], keys: { jwks: { keys: [jwk] } } } },
    targets: { payments: { audience: PAYMENTS } },
    grants: { it: { issuer: 'platform', when: recorded.when, target: 'payments' } },
  })
  const result = compilePolicy([file], { loopbackIssuers: false })
  if (!('policy' in result)) throw new Error(result.findings.map(({ message }) => message).join('\n'))
  const { policy } = result
  const broker = await createTestBroker(policy)
  const noFetch = () => Promise.reject(new Error('nothing is fetched here'))
  const world = {
    ...broker.world,
    issuerKeys: new FetchedIssuerKeys(noFetch, () => NOW),
  }
  return {
    warnings: lintPolicy([file], policy).map(({ path, message }) => `${path}: ${message}`),
    present: async (changes: object = {}) => {
      const times = { iat: NOW, exp: NOW + recorded.lifetime }
      const claims = { iss: undefined, aud: OUR_AUDIENCE, ...times, ...recorded.claims, ...changes }
      const parameters = Object.entries({
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: await key.sign(claims, recorded.header),
        subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
        audience: PAYMENTS,
      })
      const input = { parameters, authorization: [], dpop: [], idempotencyKey: [] }
      return exchange(input, { now: NOW, correlationId: 'correlation-1' }, world)
    },
  }
}

/** Each claim that is no map, by its path; each element of one that is a list. */
function leavesOf(
  value: unknown,
  path: readonly string[] = [],
): readonly (readonly [readonly string[], unknown])[] {
  if (Array.isArray(value)) return value.flatMap((item: unknown) => leavesOf(item, path))
  if (typeof value !== 'object' || value === null) return [[path, value]]
  return Object.entries(value).flatMap(([name, child]) => leavesOf(child, [...path, name]))
}

describe.each(RECORDED_TOKENS)('a token of $name', (recorded) => {
  it('is exchanged by a grant on its own claims, which the lint has nothing against', async () => {
    const { present, warnings } = await brokerFor(recorded)
    const outcome = await present()
    expect(outcome).toHaveProperty('answer')
    const token = 'answer' in outcome ? outcome.answer.access_token : ''
    expect(decode(token).claims).toMatchObject({
      sub: `platform:${String(recorded.claims['sub'])}`,
      aud: PAYMENTS,
    })
    expect(warnings).toEqual([])
  })

  it('has no claim, and no form of one, that the lint does not know', () => {
    const forms = CLAIMS_OF_PRESETS[recorded.issuer['preset'] as PresetName]
    const strange = leavesOf(recorded.claims).filter(([path, value]) => {
      const form = forms && formAt(forms, path)
      const isKnown = form === 'anything' || form === (typeof value === 'string' ? 'text' : typeof value)
      return forms !== undefined && !isKnown
    })
    expect(strange).toEqual([])
  })

  it('is refused for somebody else', async () => {
    const { present } = await brokerFor(recorded)
    expect(await present(recorded.stranger)).toHaveProperty('refused')
  })

  it('is refused for another audience, and for none', async () => {
    const { present } = await brokerFor(recorded)
    expect(await present({ aud: 'https://elsewhere.example' })).toHaveProperty(
      'refused.kind',
      'audience_not_ours',
    )
    expect(await present({ aud: undefined })).toHaveProperty('refused.kind', 'claim_malformed')
  })

  it('is accepted with an array of one audience', async () => {
    const { present } = await brokerFor(recorded)
    expect(await present({ aud: [OUR_AUDIENCE] })).toHaveProperty('answer')
  })
})

describe('a SPIFFE trust domain', () => {
  const recorded = RECORDED_TOKENS.find(({ name }) => name.includes('without iss')) as RecordedToken

  it.each([
    [{ sub: 'spiffe://elsewhere.org/ns/payments/sa/worker' }, 'issuer_not_trusted'],
    [{ iss: 'spiffe://example.org', sub: 'spiffe://elsewhere.org/ns/payments/sa/worker' }, 'claim_malformed'],
    [{ iss: 'spiffe://example.org', sub: 'spiffe://example.org.evil/ns/payments/sa/a' }, 'claim_malformed'],
    [{ iss: 'https://elsewhere.example' }, 'issuer_not_trusted'],
    [{ sub: 'spiffe://example.org' }, 'issuer_not_trusted'],
    [{ sub: ['spiffe://example.org/ns/payments/sa/worker'] }, 'issuer_not_trusted'],
  ])('speaks for its own workloads only: %j', async (changes, reason) => {
    const { present } = await brokerFor(recorded)
    expect(await present(changes)).toHaveProperty('refused.kind', reason)
  })

  it('may mark its tokens as JOSE, and nobody else may', async () => {
    const jose = { header: { typ: 'JOSE' } }
    expect(await (await brokerFor({ ...recorded, ...jose })).present()).toHaveProperty('answer')
    const other = RECORDED_TOKENS.find(({ name }) => name.startsWith('any other')) as RecordedToken
    expect(await (await brokerFor({ ...other, ...jose })).present()).toHaveProperty(
      'refused.kind',
      'token_type_mismatch',
    )
  })
})
