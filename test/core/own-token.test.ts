import { beforeEach, describe, expect, it } from 'vitest'
import { compactJws } from '../../functions/core/access-token.ts'
import { openOwnToken } from '../../functions/core/own-token.ts'
import { tokenIdOf } from '../../functions/core/token-id.ts'
import { BROKER_ISSUER, createTestBroker, NOW, PAYMENTS, type TestBroker } from '../support/broker.ts'
import { decode } from '../support/tokens.ts'

let broker: TestBroker

beforeEach(async () => {
  broker = await createTestBroker()
})

const open = (text: string, asked: { now?: number; mayBeExpired?: boolean } = {}) =>
  openOwnToken(
    text,
    { issuer: BROKER_ISSUER, issuerKeys: broker.issuerKeys },
    { now: NOW, mayBeExpired: false, ...asked },
  )

async function signed(header: object, claims: object): Promise<string> {
  const key = await broker.keys.activeKey('RS256')
  const parts = [{ alg: 'RS256', typ: 'at+jwt', kid: key.kid, ...header }, claims]
  const input = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  return compactJws(input, await broker.keys.sign(key, input))
}

describe('a token of our own', () => {
  it('is opened to the facts that it was issued with', async () => {
    const outcome = await broker.exchange({ subject_token: await broker.subjectToken() })
    const token = 'answer' in outcome ? outcome.answer.access_token : ''
    const { claims, header } = decode(token)
    const jti = claims['jti'] as string
    const tokenId = tokenIdOf({ kind: 'token', issuer: BROKER_ISSUER, jti, signingInput: '' })
    expect(await open(token)).toMatchObject({
      tokenId,
      subject: 'ci:repo:octo/pay:ref:refs/heads/main',
      clientId: 'ci:repo:octo/pay:ref:refs/heads/main',
      audience: PAYMENTS,
      issuedAt: NOW,
      expiresAt: NOW + 300,
      lineage: [...(claims['lineage'] as string[]), tokenId],
      txn: jti,
      idp: 'https://ci.example.com',
      scopes: ['payments.read'],
      signedBy: [header['kid']],
    })
  })

  it('names the keys of its ancestors before its own, each once', async () => {
    const { kid } = await broker.keys.activeKey('RS256')
    const facts = await open(await broker.own({ lineage_keys: ['old', kid] }))
    expect(facts).toMatchObject({ signedBy: ['old', kid] })
  })

  it.each([
    [NOW + 199, false, undefined],
    [NOW + 200, false, 'token_expired'],
    [NOW + 100_000, true, undefined],
    [NOW - 30, false, undefined],
    [NOW - 31, true, 'token_not_yet_valid'],
  ])('at %i, if it may be expired: %s, is refused for %s', async (now, mayBeExpired, kind) => {
    const outcome = await open(await broker.own({}), { now, mayBeExpired })
    expect('refused' in outcome ? outcome.refused.kind : undefined).toBe(kind)
  })

  it.each(['sub', 'aud', 'client_id', 'jti', 'txn', 'idp', 'lineage', 'exp', 'iat'])(
    'must have %s',
    async (claim) => {
      const refusal = { refused: { kind: 'claim_malformed', claim } }
      expect(await open(await broker.own({ [claim]: undefined }))).toEqual(refusal)
      expect(await open(await broker.own({ [claim]: [1] }))).toEqual(refusal)
    },
  )

  it.each([
    ['another issuer', { iss: 'https://tokens.example.com/' }, 'issuer_not_trusted'],
    ['no issuer', { iss: undefined }, 'issuer_not_trusted'],
    ['keys of ancestors that are no texts', { lineage_keys: [1] }, 'claim_malformed'],
  ])('is not one with %s', async (_case, changes, kind) => {
    expect(await open(await broker.own(changes))).toMatchObject({ refused: { kind } })
  })

  it.each([
    ['JWT', 'token_type_mismatch'],
    ['token-introspection+jwt', 'token_type_mismatch'],
    [undefined, 'token_type_mismatch'],
    ['application/at+jwt', undefined],
  ])('of type %s is refused for %s', async (typ, kind) => {
    const { claims } = decode(await broker.own({}))
    const outcome = await open(await signed({ typ }, claims))
    expect('refused' in outcome ? outcome.refused.kind : undefined).toBe(kind)
  })

  it('is not one unless a published key of ours verifies it', async () => {
    const own = await broker.own({})
    const [header, , signature] = own.split('.')
    const other = (await broker.own({ sub: 'somebody:else' })).split('.')[1]
    expect(await open([header, other, signature].join('.'))).toMatchObject({
      refused: { kind: 'signature_invalid' },
    })
    const { claims } = decode(own)
    expect(await open(await signed({ kid: 'gone' }, claims))).toMatchObject({
      refused: { kind: 'key_unknown' },
    })
    expect(await open(await signed({ alg: 'PS256' }, claims))).toMatchObject({
      refused: { kind: 'algorithm_not_allowed' },
    })
  })

  it('is not one if a character is missing or added', async () => {
    const own = await broker.own({})
    for (const text of [own.slice(0, -1), own.slice(1), `${own}A`, `${own}=`, `${own}\n`, ` ${own}`, ''])
      expect(await open(text)).toHaveProperty('refused')
  })
})
