import { inflateSync } from 'node:zlib'
import { BatchWriteItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb'
import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { PAYMENTS, RECEIPTS, startTestCloud, type TestCloud } from '../support/cloud.ts'

let broker: TestCloud

beforeAll(async () => {
  broker = await startTestCloud()
})
afterAll(() => broker.close())
afterEach(() => {
  broker.cloud.aws.faults.clear()
  expect(broker.defects).toEqual([])
})

interface Reference {
  readonly idx: number
  readonly uri: string
}

/** A token for the receipts API, which reads status lists. */
async function issue(): Promise<{ readonly txn: string; readonly reference: Reference }> {
  const parent = await broker.exchange(await broker.sign({ preset: 'kubernetes' }), { audience: PAYMENTS })
  const child = await broker.exchange(parent.body['access_token'] ?? '', { audience: RECEIPTS })
  expect(child.status).toBe(200)
  const claims = decodeJwt(child.body['access_token'] ?? '')
  const { status_list: reference } = claims['status'] as { status_list: Reference }
  return { txn: claims['txn'] as string, reference }
}

/** The status as a resource server finds it: fetch, verify, inflate, look at one bit. */
async function statusOf({ idx, uri }: Reference): Promise<number> {
  const response = await fetch(uri, { headers: { accept: 'application/statuslist+jwt' } })
  expect(response.headers.get('content-type')).toBe('application/statuslist+jwt')
  const keys = createRemoteJWKSet(new URL(`${broker.url}/.well-known/jwks.json`))
  const { payload } = await jwtVerify(await response.text(), keys, {
    typ: 'statuslist+jwt',
    subject: uri,
    requiredClaims: ['iat', 'exp', 'ttl'],
  })
  const { bits, lst } = payload['status_list'] as { bits: number; lst: string }
  expect(bits).toBe(1)
  const bytes = inflateSync(Buffer.from(lst, 'base64url'))
  expect(idx).toBeLessThan(bytes.length * 8)
  return (bytes.readUInt8(Math.floor(idx / 8)) >> (idx % 8)) & 1
}

const revoke = (txn: string) =>
  broker.dynamoDb.send(
    new PutItemCommand({
      TableName: broker.table('Revocations'),
      Item: { pk: { S: `lineage#${txn}` }, cut_off: { N: '1' } },
    }),
  )

describe('a status list over HTTP', () => {
  it('says that a token is revoked at the next computation, and nothing of its neighbours', async () => {
    const [first, second] = [await issue(), await issue()]
    expect(second.reference).not.toEqual(first.reference)
    await revoke(first.txn)
    // The first computation: nobody has asked before.
    expect(await statusOf(first.reference)).toBe(1)
    expect(await statusOf(second.reference)).toBe(0)
  })

  it('is found as it was by its ETag, and asked for by nobody else', async () => {
    const { reference } = await issue()
    const first = await fetch(reference.uri)
    const etag = first.headers.get('etag') ?? ''
    expect(first.headers.get('cache-control')).toBe('public, max-age=15, must-revalidate')
    expect((await fetch(reference.uri, { headers: { 'if-none-match': etag } })).status).toBe(304)
    expect((await fetch(`${broker.url}/status/4711`)).status).toBe(404)
    expect((await fetch(reference.uri, { method: 'DELETE' })).status).toBe(405)
  })

  it.each(['dynamodb:PutItem', 'kms:Sign'])('refers to no token that is not in it: %s', async (operation) => {
    const parent = await broker.exchange(await broker.sign({ preset: 'kubernetes' }), { audience: PAYMENTS })
    broker.cloud.aws.faults.set({ operation, kind: 'throttle' })
    const onward = await broker.exchange(parent.body['access_token'] ?? '', { audience: RECEIPTS })
    expect(onward.status).toBe(503)
  })
})

describe('while a status list cannot be computed', () => {
  let fresh: TestCloud

  beforeAll(async () => {
    fresh = await startTestCloud()
  })
  afterAll(() => fresh.close())
  afterEach(() => fresh.cloud.aws.faults.clear())

  async function uriOfToken(): Promise<string> {
    const parent = await fresh.exchange(await fresh.sign({ preset: 'kubernetes' }), { audience: PAYMENTS })
    const child = await fresh.exchange(parent.body['access_token'] ?? '', { audience: RECEIPTS })
    return (decodeJwt(child.body['access_token'] ?? '')['status'] as { status_list: Reference }).status_list
      .uri
  }

  it.each(['dynamodb:Query', 'dynamodb:Scan', 'kms:Sign'])(
    '%s: 503, and nobody may keep that',
    async (operation) => {
      const uri = await uriOfToken()
      fresh.cloud.aws.faults.set({ operation, kind: 'throttle' })
      const response = await fetch(uri)
      expect([response.status, response.headers.get('cache-control')]).toEqual([503, 'no-store'])
    },
  )

  it('asks for the cut-offs of its tokens where there are too many to read them all', async () => {
    const uri = await uriOfToken()
    const [TableName, S] = [fresh.table('Revocations'), 'r'.repeat(390_000)]
    for (let item = 0; item < 12; item++) {
      const Item = { pk: { S: `token#filler-${item}` }, cut_off: { N: '1' }, reason: { S } }
      const RequestItems = { [TableName]: [{ PutRequest: { Item } }] }
      await fresh.dynamoDb.send(new BatchWriteItemCommand({ RequestItems }))
    }
    const response = await fetch(uri)
    expect(response.status).toBe(200)
    const unused = fresh.cloud.unusedPermissions().filter(({ principal }) => principal.includes('Status'))
    expect(unused).toEqual([])
    expect(fresh.defects).toEqual([])
  })
})
