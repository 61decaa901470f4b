import { GetItemCommand } from '@aws-sdk/client-dynamodb'
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { compilePolicies, decide } from '../../lib/local/aws/iam.ts'
import { LOCAL_OPERATOR } from '../../lib/local/cloud.ts'
import { type Synthesis, synthesize } from '../../lib/local/synthesize.ts'
import { assertionParameters } from '../support/clients.ts'
import {
  type Answer,
  PAYMENTS,
  postForm,
  RECEIPTS,
  startTestCloud,
  type TestCloud,
} from '../support/cloud.ts'
import { type PolicyWithClients, policyWithClients } from '../support/policy-with-clients.ts'
import { type SigningOptions, signRequest } from '../support/signed-request.ts'

let policy: PolicyWithClients
let synthesis: Synthesis
let broker: TestCloud

beforeAll(async () => {
  policy = await policyWithClients()
  synthesis = synthesize({ policyFolder: policy.folder })
  const { assemblyFolder, policy: compiled } = synthesis
  broker = await startTestCloud({ assemblyFolder, issuers: compiled.issuers })
})
afterAll(async () => {
  await broker.close()
  synthesis.dispose()
  policy.dispose()
})
afterEach(() => {
  broker.cloud.aws.faults.clear()
  expect(broker.defects).toEqual([])
})

const subjectToken = (claims = {}) => broker.sign({ preset: 'kubernetes', claims })
/** A token of ours for the payments API, and one that it was exchanged onward for. */
async function family(claims = {}) {
  const subject = await subjectToken(claims)
  const parent = await tokenFor(subject, PAYMENTS)
  return { subject, parent, child: await tokenFor(parent, RECEIPTS) }
}
async function tokenFor(subject: string, audience: string): Promise<string> {
  const { status, body } = await broker.exchange(subject, { audience })
  expect([status, body['error']]).toEqual([200, undefined])
  return body['access_token'] ?? ''
}
const introspect = (token: string, headers: Record<string, string> = {}) =>
  postForm(`${broker.url}/introspect`, { token }, { authorization: policy.authorization, ...headers })
const isActive = async (token: string): Promise<unknown> => (await introspect(token)).body['active']
const revoke = (token: string) =>
  postForm(`${broker.url}/revoke`, { token }, { authorization: policy.authorization })
const byAssertion = async (path: string, token: string) =>
  postForm(`${broker.url}${path}`, { token, ...assertionParameters(await policy.assertion(broker.url)) })

async function admin(body: object, options: Partial<SigningOptions> = {}): Promise<Answer> {
  const url = `${broker.url}/admin/revocations`
  const request = {
    method: 'POST',
    body: JSON.stringify({ reason: 'leaked', ...body }),
    headers: { 'content-type': 'application/json' },
  }
  const response = await fetch(
    url,
    await signRequest(url, request, { credentials: LOCAL_OPERATOR, ...options }),
  )
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Answer['body'],
  }
}

describe('introspection over HTTP', () => {
  it('is found by discovery, and answers a registered client', async () => {
    const metadata = (await (
      await fetch(`${broker.url}/.well-known/oauth-authorization-server`)
    ).json()) as Record<string, string>
    expect(metadata).toMatchObject({
      introspection_endpoint: `${broker.url}/introspect`,
      revocation_endpoint: `${broker.url}/revoke`,
      introspection_endpoint_auth_methods_supported: ['private_key_jwt', 'client_secret_basic'],
      introspection_signing_alg_values_supported: ['RS256'],
    })
    const { parent } = await family()
    const { status, body, headers } = await introspect(parent)
    expect(status).toBe(200)
    expect(body).toMatchObject({ active: true, iss: broker.url, aud: PAYMENTS, token_type: 'Bearer' })
    expect(body['sub']).toBe(decodeJwt(parent).sub)
    expect(headers.get('cache-control')).toBe('no-store')
    expect((await byAssertion('/introspect', parent)).body['active']).toBe(true)
    expect((await postForm(`${broker.url}/introspect`, { token: parent })).status).toBe(401)
  })

  it('signs its answer for who accepts that, verifiably against the live keys', async () => {
    const { parent } = await family()
    const response = await fetch(`${broker.url}/introspect`, {
      method: 'POST',
      body: new URLSearchParams({ token: parent }),
      headers: { authorization: policy.authorization, accept: 'application/token-introspection+jwt' },
    })
    expect(response.headers.get('content-type')).toBe('application/token-introspection+jwt')
    const keys = createRemoteJWKSet(new URL(`${broker.url}/.well-known/jwks.json`))
    const { payload } = await jwtVerify(await response.text(), keys, {
      issuer: broker.url,
      audience: 'test-secret',
      typ: 'token-introspection+jwt',
    })
    expect(payload['token_introspection']).toMatchObject({ active: true, jti: decodeJwt(parent).jti })
  })

  it('goes on without KMS, but not without the table of cut-offs', async () => {
    const { parent } = await family()
    broker.cloud.aws.faults.set({ operation: 'kms:Sign', kind: 'reset' })
    expect(await isActive(parent)).toBe(true)
    broker.cloud.aws.faults.set({ operation: 'dynamodb:BatchGetItem', kind: 'reset' })
    expect((await introspect(parent)).status).toBe(503)
  })
})

describe('revocation over HTTP', () => {
  it('ends a token and its descendants at once, and spares its ancestors', async () => {
    const { subject, parent, child } = await family()
    expect([await isActive(parent), await isActive(child)]).toEqual([true, true])
    expect((await revoke(parent)).status).toBe(200)
    expect([await isActive(parent), await isActive(child)]).toEqual([false, false])
    expect((await broker.exchange(parent, { audience: RECEIPTS })).status).toBe(400)
    expect((await broker.exchange(subject, { audience: PAYMENTS })).status).toBe(200)
  })

  it('survives the end of every process', async () => {
    const { parent } = await family()
    await byAssertion('/revoke', parent)
    for (const name of ['IntrospectFunction', 'RevokeFunction', 'ExchangeFunction'])
      broker.cloud.functions.kill(name)
    expect(await isActive(parent)).toBe(false)
  })

  it('is 503 while the table cannot be written, and then holds', async () => {
    const { parent } = await family()
    broker.cloud.aws.faults.set({ operation: 'dynamodb:UpdateItem', kind: 'reset' })
    expect((await revoke(parent)).status).toBe(503)
    expect(await isActive(parent)).toBe(true)
    broker.cloud.aws.faults.clear()
    expect((await revoke(parent)).status).toBe(200)
    expect(await isActive(parent)).toBe(false)
  })
})

describe('revocation by an operator over HTTP', () => {
  const claimOf = (token: string, name: string) => decodeJwt(token)[name] as string

  it.each<[string, (family: { subject: string; parent: string; child: string }) => object]>([
    ['token', ({ parent }) => ({ token: parent })],
    ['upstream_token', ({ subject }) => ({ token: subject })],
    ['lineage', ({ parent }) => ({ id: claimOf(parent, 'txn') })],
  ])('by %s ends the whole family, and no other', async (kind, about) => {
    const spared = await family()
    const ended = await family()
    const { status, body } = await admin({ kind, ...about(ended) })
    expect(status).toBe(200)
    expect(body).toMatchObject({
      author: 'arn:aws:iam::111111111111:user/local-operator',
      reason: 'leaked',
      revoked: [expect.stringContaining('#')],
    })
    expect([await isActive(ended.parent), await isActive(ended.child)]).toEqual([false, false])
    expect((await broker.exchange(ended.parent, { audience: RECEIPTS })).status).toBe(400)
    expect([await isActive(spared.parent), await isActive(spared.child)]).toEqual([true, true])
  })

  it('writes down who revoked, why and what, in the table and in the log', async () => {
    const { parent } = await family()
    const { body, headers } = await admin({ kind: 'token', token: parent, reason: 'seen in a paste' })
    const pk = { S: String(body['revoked']?.[0]) }
    const get = new GetItemCommand({
      TableName: broker.table('Revocations'),
      Key: { pk },
      ConsistentRead: true,
    })
    expect((await broker.dynamoDb.send(get)).Item).toMatchObject({
      author: { S: 'arn:aws:iam::111111111111:user/local-operator' },
      reason: { S: 'seen in a paste' },
      expires_at: { N: String((decodeJwt(parent).exp ?? 0) + 120) },
    })
    const lines = () =>
      broker.lines.filter((line) => line.includes(headers.get('x-correlation-id') ?? 'none'))
    await expect.poll(() => lines().some((line) => line.includes('"audit"'))).toBe(true)
    const audit = lines().find((line) => line.includes('"audit"')) ?? '{}'
    expect(JSON.parse(audit)).toMatchObject({
      audit: { event: 'revocation', kind: 'token', reason: 'seen in a paste' },
    })
    expect(lines().some((line) => line.includes('"RevocationLatency"'))).toBe(true)
    for (const part of parent.split('.')) expect(broker.lines.join('\n')).not.toContain(part)
  })

  it.each([
    ['unsigned', undefined],
    ['with a wrong secret', { credentials: { ...LOCAL_OPERATOR, secretAccessKey: 'guess' } }],
    ['yesterday', { signingDate: new Date(Date.now() - 86_400_000) }],
  ])('is forbidden %s', async (_case, options) => {
    const body = { kind: 'token', id: 'A'.repeat(22) }
    const { status, body: answer } =
      options === undefined
        ? await postForm(`${broker.url}/admin/revocations`, {})
        : await admin(body, options)
    expect([status, answer]).toEqual([403, { message: 'Forbidden' }])
  })

  it('by subject, issuer, client and key ends what each of them has touched', async () => {
    const worker = await family()
    const subject = claimOf(worker.parent, 'sub')
    const bySubject = await admin({ kind: 'subject', id: subject })
    expect(bySubject.body).toMatchObject({ known: true, revoked: [`subject#${subject}`] })
    expect([await isActive(worker.parent), await isActive(worker.child)]).toEqual([false, false])

    const ci = await tokenFor(await broker.sign({ preset: 'github-actions' }), PAYMENTS)
    expect(await isActive(ci)).toBe(true)
    // No client was authenticated: the subject is the client.
    const { kid } = decodeProtectedHeader(ci)
    expect((await admin({ kind: 'client', id: 'test-secret' })).body).toMatchObject({ known: true })
    expect(await isActive(ci)).toBe(true)
    expect((await admin({ kind: 'issuer', id: 'github' })).body).toMatchObject({ known: true })
    expect(await isActive(ci)).toBe(false)
    const again = await broker.exchange(await broker.sign({ preset: 'github-actions' }), {
      audience: PAYMENTS,
    })
    expect(again.status).toBe(400)

    expect((await admin({ kind: 'key', id: kid ?? '' })).body).toMatchObject({
      revoked: [`key#${kid ?? ''}`],
    })
    // Until the next key takes over nothing is signed: better no token than one of a key that somebody else has.
    const { status } = await broker.exchange(await broker.sign({ preset: 'gitlab' }), {
      audience: 'https://ledger.example.com',
    })
    expect(status).toBe(200)
    const other = await subjectToken({ sub: 'system:serviceaccount:payments:other' })
    expect((await broker.exchange(other, { audience: PAYMENTS })).status).toBe(503)
  })
})

describe('least privilege', () => {
  it.each(['IntrospectFunction', 'RevokeFunction'])(
    '%s can write no exchange, only an assertion’s use',
    (name) => {
      const policies = compilePolicies(broker.cloud.functions.plan(name).policies)
      const resource = `arn:aws:dynamodb:eu-west-1:111111111111:table/${broker.table('Exchanges')}`
      const decisionOn = (pk: string) =>
        decide(policies, { action: 'dynamodb:PutItem', resource, context: { 'dynamodb:LeadingKeys': [pk] } })
          .kind
      expect(decisionOn('assertion#a')).toBe('allowed')
      expect(decisionOn('A'.repeat(22))).toBe('denied')
    },
  )

  it('every permission of these functions was used by these tests, and none was missing', () => {
    const ours = broker.cloud
      .unusedPermissions()
      .filter(({ principal }) => /Introspect|Revoke/.test(principal))
    expect(ours).toEqual([])
    expect(broker.defects).toEqual([])
  })
})
