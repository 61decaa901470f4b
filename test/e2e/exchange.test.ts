import { GetItemCommand, PutItemCommand, ScanCommand } from '@aws-sdk/client-dynamodb'
import { DisableKeyCommand, EnableKeyCommand } from '@aws-sdk/client-kms'
import { JwtVerifier } from 'aws-jwt-verify'
import { SimpleJwksCache } from 'aws-jwt-verify/jwk'
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { KmsKey } from '../../functions/core/key-lifecycle.ts'
import { LEDGER, PAYMENTS, RECEIPTS, REPORTS, startTestCloud, type TestCloud } from '../support/cloud.ts'
import { emfLinesIn, seriesOf } from '../support/emf.ts'

let broker: TestCloud

beforeAll(async () => {
  broker = await startTestCloud()
})
afterAll(() => broker.close())
afterEach(() => {
  broker.cloud.aws.faults.clear()
  expect(broker.defects).toEqual([])
})

const github = (claims = {}) => broker.sign({ preset: 'github-actions', claims })
const reuse = async () => broker.exchange(await broker.sign({ preset: 'kubernetes' }), { audience: PAYMENTS })

describe('an exchange over HTTP', () => {
  it.each([
    ['github-actions', PAYMENTS, 'RS256', 'payments.read'],
    ['github-actions-immutable', PAYMENTS, 'RS256', 'payments.read'],
    ['gitlab', LEDGER, 'ES256', 'ledger.read'],
    ['kubernetes', PAYMENTS, 'RS256', 'payments.read'],
    ['aws-outbound', LEDGER, 'ES256', 'ledger.append'],
  ])(
    'turns a token of %s into one for %s that verifies against the live keys',
    async (preset, audience, alg, scope) => {
      const { status, body } = await broker.exchange(await broker.sign({ preset }), { audience })
      expect(status).toBe(200)
      const keys = createRemoteJWKSet(new URL(`${broker.url}/.well-known/jwks.json`))
      const { payload, protectedHeader } = await jwtVerify(body['access_token'] ?? '', keys, {
        issuer: broker.url,
        audience,
        typ: 'at+jwt',
        requiredClaims: ['exp', 'iat', 'nbf', 'jti', 'sub', 'client_id', 'txn', 'grant'],
      })
      expect(protectedHeader.alg).toBe(alg)
      expect(payload['scope']).toBe(scope)
    },
  )

  it('verifies with aws-jwt-verify, as AWS verifiers do it', async () => {
    const { body } = await broker.exchange(await github())
    const token = body['access_token'] ?? ''
    const jwksCache = new SimpleJwksCache({
      fetcher: { fetch: async (uri) => (await fetch(uri)).arrayBuffer() },
    })
    const verifier = JwtVerifier.create(
      { issuer: broker.url, audience: PAYMENTS, jwksUri: `${broker.url}/.well-known/jwks.json` },
      { jwksCache },
    )
    expect(await verifier.verify(token)).toMatchObject({ aud: PAYMENTS, grant: 'payments-ci' })
    // What an ALB and an HTTP API authorizer insist on.
    expect(decodeProtectedHeader(token)).toEqual({ alg: 'RS256', typ: 'at+jwt', kid: expect.any(String) })
    const { iss, aud, exp, iat, nbf } = decodeJwt(token)
    expect([typeof iss, typeof aud, typeof exp, typeof iat, typeof nbf]).toEqual([
      'string',
      'string',
      'number',
      'number',
      'number',
    ])
    const jwks = (await (await fetch(`${broker.url}/.well-known/jwks.json`)).json()) as { keys: unknown[] }
    expect(jwks.keys.length).toBeLessThanOrEqual(10)
  })

  it('is found by discovery alone', async () => {
    const read = async (path: string) =>
      (await (await fetch(`${broker.url}${path}`)).json()) as Record<string, string>
    for (const path of ['openid-configuration', 'oauth-authorization-server']) {
      const metadata = await read(`/.well-known/${path}`)
      expect(metadata['issuer']).toBe(broker.url)
      expect((await fetch(metadata['jwks_uri'] ?? '')).status).toBe(200)
      const { status } = await fetch(metadata['token_endpoint'] ?? '')
      expect(status).toBe(405)
    }
  })

  it('goes onward with the token of its target, for no more than that had', async () => {
    const first = await broker.exchange(await github())
    const onward = await broker.exchange(first.body['access_token'] ?? '', { audience: RECEIPTS })
    expect(onward.status).toBe(200)
    const [parent, child] = [first, onward].map(({ body }) => decodeJwt(body['access_token'] ?? ''))
    expect(child).toMatchObject({ sub: parent?.sub, txn: parent?.['txn'], scope: 'payments.read' })
    expect(child?.['lineage']).toHaveLength(2)
    expect(Number(child?.exp)).toBeLessThanOrEqual(Number(parent?.exp))
  })

  it('lets a service act for a job, in a token that is the job’s and ends with either', async () => {
    const actor = async (preset: string) => ({
      audience: RECEIPTS,
      actor_token: await broker.sign({ preset }),
      actor_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    })
    const byWorker = await broker.exchange(await github(), await actor('kubernetes'))
    const claims = decodeJwt(byWorker.body['access_token'] ?? '')
    expect(claims).toMatchObject({
      sub: 'github:repo:octo-org/payments:ref:refs/heads/main',
      act: { sub: 'cluster:system:serviceaccount:payments:worker' },
      aud: RECEIPTS,
      grant: 'receipts-for-ci',
    })
    expect(claims['lineage_actors']).toContain('subject#cluster:system:serviceaccount:payments:worker')
    expect((await broker.exchange(await github(), { audience: RECEIPTS })).status).toBe(400)

    const claimed = async () => {
      const { Items = [] } = await broker.dynamoDb.send(
        new ScanCommand({ TableName: broker.table('Exchanges') }),
      )
      return Items.filter(({ pk }) => pk?.S?.startsWith('actor#')).length
    }
    const before = await claimed()
    const once = await actor('gitlab')
    expect((await broker.exchange(await github(), once)).status).toBe(200)
    expect((await broker.exchange(await github(), once)).status).toBe(400)
    expect(await claimed()).toBe(before + 1)
  })

  it('gives exactly one success to 200 simultaneous presentations of a single-use token', async () => {
    // A machine that is too slow for 600 calls at once answers some of them 503, maybe that of the token; never a second.
    for (const simultaneous of [200, 50, 10]) {
      const token = await github()
      const answers = await Promise.all(Array.from({ length: simultaneous }, () => broker.exchange(token)))
      const of = (wanted: number) => answers.filter(({ status }) => status === wanted)
      expect(of(200).length + of(400).length + of(503).length).toBe(simultaneous)
      for (const { body } of of(400)) expect(body['error']).toBe('invalid_request')
      expect(of(200).length).toBeLessThanOrEqual(1)
      if (of(200).length === 1) return
      expect(of(503).length).toBeGreaterThan(0)
    }
    throw new Error('503 to ten simultaneous presentations')
  })

  it('gives retries with one idempotency key one logical token', async () => {
    const token = await github()
    const headers = { 'idempotency-key': 'retry-of-job-4711' }
    const answers = await Promise.all(Array.from({ length: 20 }, () => broker.exchange(token, {}, headers)))
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
    const issued = answers.map(({ body }) => decodeJwt(body['access_token'] ?? ''))
    for (const claims of issued) expect(claims).toEqual(issued[0])
    expect((await broker.exchange(token)).status).toBe(400)
  })

  it('leaves one durable record of each token, without any part of one', async () => {
    const token = await github()
    const { body, headers } = await broker.exchange(token)
    const issued = decodeJwt(body['access_token'] ?? '')
    const [root] = issued['lineage'] as string[]
    const key = { TableName: broker.table('Exchanges'), Key: { pk: { S: root ?? '' } } }
    const { Item } = await broker.dynamoDb.send(new GetItemCommand(key))
    expect(JSON.parse(Item?.['event']?.S ?? '{}')).toMatchObject({
      event: 'exchange_granted',
      jti: issued.jti,
      correlation_id: headers.get('x-correlation-id'),
    })
    expect(Number(Item?.['expires_at']?.N)).toBeGreaterThan(Number(issued.exp))
    const all = JSON.stringify(
      await broker.dynamoDb.send(new ScanCommand({ TableName: broker.table('Exchanges') })),
    )
    for (const part of [token, body['access_token'] ?? ''].flatMap((jws) => jws.split('.')))
      expect(all).not.toContain(part)
  })
})

describe('a reference token over HTTP', () => {
  const subject_token_type = 'urn:ietf:params:oauth:token-type:access_token'
  const issue = async () =>
    (await broker.exchange(await broker.sign({ preset: 'kubernetes' }), { audience: REPORTS })).body
  const onward = (handle: string) => broker.exchange(handle, { audience: RECEIPTS, subject_token_type })

  it('is a handle that goes onward as what it stands for', async () => {
    const { access_token: handle = '', ...answer } = await issue()
    expect(handle).toMatch(/^rt_[\w-]{43}$/)
    expect(answer).toMatchObject({ token_type: 'Bearer', scope: 'payments.read' })
    const { status, body } = await onward(handle)
    expect(status).toBe(200)
    const claims = decodeJwt(body['access_token'] ?? '')
    expect(claims).toMatchObject({ aud: RECEIPTS, grant: 'reports-onward' })
    expect(claims['lineage']).toHaveLength(2)
  })

  it('is refused when it is cut, stretched or made up, and once its lineage is revoked', async () => {
    const { access_token: handle = '' } = await issue()
    const first = await onward(handle)
    for (const wrong of [handle.slice(0, -1), `${handle}A`, `rt_${'x'.repeat(42)}A`])
      expect(await onward(wrong)).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
    const { txn } = decodeJwt(first.body['access_token'] ?? '')
    const Item = { pk: { S: `lineage#${txn as string}` }, cut_off: { N: '1' } }
    await broker.dynamoDb.send(new PutItemCommand({ TableName: broker.table('Revocations'), Item }))
    expect((await onward(handle)).status).toBe(400)
  })

  it.each(['dynamodb:GetItem', 'dynamodb:PutItem'])('answers 503 while %s fails', async (operation) => {
    const { access_token: handle = '' } = await issue()
    broker.cloud.aws.faults.set({ operation, kind: 'throttle' })
    expect((await onward(handle)).status).toBe(503)
    broker.cloud.aws.faults.clear()
    expect((await onward(handle)).status).toBe(200)
  })

  it('is in no record, log or metric', async () => {
    const { access_token: handle = '' } = await issue()
    await onward(handle)
    await onward(`${handle}A`)
    const tables = broker.cloud.plan.tables.map(({ name }) =>
      broker.dynamoDb.send(new ScanCommand({ TableName: name })),
    )
    const everything = JSON.stringify(await Promise.all(tables)) + broker.lines.join('\n')
    expect(everything).toContain('reference#')
    expect(everything).not.toContain(handle.slice(3))
  })
})

describe('a bad request over HTTP', () => {
  it('is answered as OAuth wants it', async () => {
    const expired = await broker.exchange(await github({ exp: 1000, iat: 900, nbf: 900 }))
    expect(expired).toMatchObject({
      status: 400,
      body: { error: 'invalid_request', error_description: 'the subject or actor token is not acceptable' },
    })
    expect(expired.headers.get('cache-control')).toBe('no-store')
    expect(expired.headers.get('x-correlation-id')).toMatch(/^[\w=-]+$/)
    expect(await broker.exchange('not.a.token')).toMatchObject({ status: 400, body: expired.body })
    expect(await broker.exchange(await github(), { audience: 'https://other.example.com' })).toMatchObject({
      status: 400,
      body: { error: 'invalid_target' },
    })
    expect(await broker.exchange(await github(), { scope: 'admin' })).toMatchObject({
      status: 400,
      body: { error: 'invalid_scope' },
    })
    const wrongMethod = await fetch(`${broker.url}/token`)
    expect([wrongMethod.status, wrongMethod.headers.get('allow')]).toEqual([405, 'POST'])
  })

  it('writes nothing and calls for no signature unless its subject token was good', async () => {
    const table = { TableName: broker.table('Exchanges'), Select: 'COUNT' } as const
    const before = await broker.dynamoDb.send(new ScanCommand(table))
    broker.cloud.aws.faults.set({ operation: 'kms:Sign', kind: 'error', code: 'InternalFailure' })
    const good = await github()
    const [header = '', payload = ''] = good.split('.')
    const forged = `${header}.${payload}.${Buffer.alloc(256, 1).toString('base64url')}`
    expect((await broker.exchange(forged)).status).toBe(400)
    expect((await broker.exchange(await github({ repository_id: '9' }))).status).toBe(400)
    broker.cloud.aws.faults.clear()
    expect((await broker.dynamoDb.send(new ScanCommand(table))).Count).toBe(before.Count)
    expect((await broker.exchange(good)).status).toBe(200)
  })

  it('leaves its exact reason in the log, by correlation id, and no part of a token anywhere', async () => {
    const token = await github({ repository_id: '9' })
    const { headers } = await broker.exchange(token)
    const line = broker.lines.find(
      (text) => text.includes(headers.get('x-correlation-id') ?? '?') && text.includes('refused'),
    )
    expect(JSON.parse(line ?? '{}')).toMatchObject({
      audit: {
        event: 'exchange_refused',
        reason: 'no_grant_matches',
        issuer: 'github',
        target: 'payments-api',
      },
    })
    const good = await github()
    const { body } = await broker.exchange(good)
    const printed = broker.lines.join('\n')
    for (const part of [token, good, body['access_token'] ?? ''].flatMap((jws) => jws.split('.')))
      expect(printed).not.toContain(part)
  })
})

describe('revocation', () => {
  it('holds at once, for descendants too', async () => {
    const parent = (await broker.exchange(await github())).body['access_token'] ?? ''
    const onward = () => broker.exchange(parent, { audience: RECEIPTS })
    expect((await onward()).status).toBe(200)
    const [root] = decodeJwt(parent)['lineage'] as string[]
    const Item = { pk: { S: `token#${root}` }, cut_off: { N: '1' } }
    await broker.dynamoDb.send(new PutItemCommand({ TableName: broker.table('Revocations'), Item }))
    expect(await onward()).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
  })
})

describe('while a dependency is down', () => {
  it.each([
    ['kms:Sign', 'throttle'],
    ['kms:Sign', 'hang'],
    ['kms:Sign', 'reset'],
    ['dynamodb:PutItem', 'throttle'],
    ['dynamodb:PutItem', 'hang'],
    ['dynamodb:BatchGetItem', 'throttle'],
    ['dynamodb:BatchGetItem', 'hang'],
  ] as const)('%s %s: 503 with Retry-After, then works again', async (operation, kind) => {
    broker.cloud.aws.faults.set({ operation, kind })
    const { status, headers, body } = await reuse()
    expect(status).toBe(503)
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    expect(body).toEqual({ error: 'temporarily_unavailable', error_description: 'try again later' })
    broker.cloud.aws.faults.clear()
    expect((await reuse()).status).toBe(200)
  })

  it('prints what failed, not what AWS said: that can quote what it was given', async () => {
    const message = 'value eyJhbGciOiJub25lIn0.CANARY is not valid'
    broker.cloud.aws.faults.set({
      operation: 'kms:Sign',
      kind: 'error',
      code: 'ValidationException',
      message,
    })
    const { headers } = await reuse()
    broker.cloud.aws.faults.clear()
    const line = broker.lines.find(
      (text) => text.includes(headers.get('x-correlation-id') ?? '?') && text.includes('fault'),
    )
    expect(JSON.parse(line ?? '{}')).toMatchObject({
      fault: { dependency: 'kms', cause: { name: 'ValidationException', status: 400 } },
    })
    expect(broker.lines.join('\n')).not.toContain('CANARY')
  })

  it('answers 500 and releases nothing when KMS returns a wrong signature', async () => {
    broker.cloud.aws.faults.set({ operation: 'kms:Sign', kind: 'garble' })
    expect(await reuse()).toMatchObject({
      status: 500,
      body: { error: 'server_error' },
    })
  })

  it('a retry with the same idempotency key gets the token for which the first write was lost', async () => {
    const token = await github()
    const headers = { 'idempotency-key': 'retry-after-fault' }
    broker.cloud.aws.faults.set({ operation: 'kms:Sign', kind: 'reset' })
    expect((await broker.exchange(token, {}, headers)).status).toBe(503)
    broker.cloud.aws.faults.clear()
    expect((await broker.exchange(token, {}, headers)).status).toBe(200)
  })

  it('an answer lost on its way is no replay', async () => {
    broker.cloud.aws.faults.set({ operation: 'dynamodb:PutItem', kind: 'drop-after-apply', times: 1 })
    expect((await broker.exchange(await github())).status).toBe(200)
  })

  it('answers 503 while its key is disabled, keeps publishing it, and signs again once it is enabled', async () => {
    const { body } = await reuse()
    const { kid } = decodeProtectedHeader(body['access_token'] ?? '')
    const manifest = await broker.dynamoDb.send(
      new GetItemCommand({ TableName: broker.table('SigningKeys'), Key: { pk: { S: 'ring#RS256' } } }),
    )
    const { keys } = JSON.parse(manifest.Item?.['manifest']?.S ?? '{}') as { keys: KmsKey[] }
    const KeyId = keys.find((key) => key.kid === kid)?.keyArn
    await broker.kms.send(new DisableKeyCommand({ KeyId }))
    expect((await reuse()).status).toBe(503)
    await expect(broker.cloud.invoke('RotateKeysFunction', {})).rejects.toThrow('KMS refuses the active key')
    const jwks = await (await fetch(`${broker.url}/.well-known/jwks.json`)).text()
    expect(jwks).toContain(kid)
    await broker.kms.send(new EnableKeyCommand({ KeyId }))
    expect((await reuse()).status).toBe(200)
    await broker.cloud.invoke('RotateKeysFunction', {})
    const runs = emfLinesIn(broker.lines.join('\n')).filter((line) => 'SecondsToNextKeyStep' in line)
    expect(runs.length).toBeGreaterThan(1)
    // Of keys that sign for 30 days and are young, also where the run fails.
    for (const { SecondsBeyondKeyPeriod: beyond } of runs) {
      expect(beyond).toBeGreaterThanOrEqual(-30 * 86_400)
      expect(beyond).toBeLessThan(-29 * 86_400)
    }
  })

  it('keeps serving the keys, and issuers already known', async () => {
    await fetch(`${broker.url}/.well-known/jwks.json`)
    for (const operation of ['dynamodb:GetItem', 'kms:Sign'])
      broker.cloud.aws.faults.set({ operation, kind: 'reset' })
    expect((await fetch(`${broker.url}/.well-known/jwks.json`)).status).toBe(200)
    broker.cloud.aws.faults.clear()
    broker.cloud.demoIssuer.fail(true)
    expect((await broker.exchange(await github())).status).toBe(200)
    broker.cloud.demoIssuer.fail(false)
  })
})

describe('the probe', () => {
  it('finds, by the public URL, that everything is as it must be', async () => {
    const before = broker.lines.length
    await broker.cloud.invoke('ProberFunction', { source: 'aws.events' })
    const lines = broker.lines.slice(before)
    const [run] = emfLinesIn(lines.join('\n')).filter((line) => 'ProbeFailures' in line)
    expect(run).toMatchObject({ ProbeFailures: 0, NegativeProbeSuccesses: 0, checks: '' })
    expect(lines.filter((line) => line.includes('"_probe:probe"'))).not.toEqual([])
  })

  it('sees a dependency that is down, and takes it for no success', async () => {
    broker.cloud.aws.faults.set({ operation: 'dynamodb:BatchGetItem', kind: 'reset' })
    const before = broker.lines.length
    await broker.cloud.invoke('ProberFunction', { source: 'aws.events' })
    const [run] = emfLinesIn(broker.lines.slice(before).join('\n')).filter((line) => 'ProbeFailures' in line)
    expect(run).toMatchObject({ ProbeFailures: 1, NegativeProbeSuccesses: 0, checks: 'exchange' })
  })
})

describe('the metrics', () => {
  it('of all that these tests did are at most 20 series', () => {
    const lines = emfLinesIn(broker.lines.join('\n'))
    const series = seriesOf(lines)
    expect(series.size).toBeGreaterThan(8)
    expect(series.size).toBeLessThanOrEqual(20)
    const dimensions = new Set([...series].map((one) => one.split(' ').slice(2).join(' ')))
    expect([...dimensions]).toEqual(['service=token-broker stage=dev'])
  })
})

describe('least privilege', () => {
  it('every permission of every function was used by these tests, and none was missing', () => {
    // Those that a key needs at the end of its life: test/contracts/rotation-permissions.test.ts waits for that.
    const later = ['kms:DisableKey', 'kms:ScheduleKeyDeletion']
    // To hand over what asks for AWS credentials: aws.test.ts.
    const elsewhere = 'lambda:InvokeFunction'
    // Those of introspection and revocation: revocation.test.ts; of status lists: status-lists.test.ts.
    const unused = broker.cloud
      .unusedPermissions()
      .filter(({ principal }) => !/Introspect|Revoke|Status|ExportAudit|AwsCredentials/.test(principal))
    expect(unused.filter(({ action }) => ![...later, elsewhere].includes(action))).toEqual([])
    const ofOthers = unused.filter(({ principal }) => !principal.includes('RotateKeys'))
    expect(ofOthers.filter(({ action }) => action !== elsewhere)).toEqual([])
    expect(broker.defects).toEqual([])
  })
})
