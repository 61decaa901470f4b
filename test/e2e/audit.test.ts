import { GetItemCommand, PutItemCommand, ScanCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb'
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { decodeJwt } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tokenIdOf } from '../../functions/core/token-id.ts'
import { runCli } from '../../lib/cli/run.ts'
import { MemoryTerminal } from '../cli/memory-terminal.ts'
import { LEDGER, PAYMENTS, RECEIPTS, startTestCloud, type TestCloud } from '../support/cloud.ts'

let broker: TestCloud
let s3: S3Client
const config = () => ({
  endpoint: broker.cloud.aws.url,
  region: 'eu-west-1',
  credentials: { accessKeyId: 'AKIAOPERATOR00000000', secretAccessKey: 'operator' },
})

beforeAll(async () => {
  broker = await startTestCloud()
  s3 = new S3Client(config())
})
afterAll(async () => {
  s3.destroy()
  await broker.close()
})

const now = () => Math.floor(Date.now() / 1000)
const tick = () => broker.cloud.invoke('ExportAuditFunction', { source: 'aws.events' })
const bucket = () => broker.cloud.plan.buckets[0]?.name ?? ''

/** Runs the command line as an operator would, some time later: what is in the table is then old enough to be compared. */
async function cli(
  args: readonly string[],
  later = 1200,
): Promise<{ code: number; terminal: MemoryTerminal }> {
  const terminal = new MemoryTerminal()
  const code = await runCli(args, { terminal, aws: config(), now: () => now() + later })
  return { code, terminal }
}

interface Verified {
  readonly verified: boolean
  readonly records: number
  readonly table_records_compared: number
  readonly findings: readonly { readonly problem: string }[]
}

async function verify(): Promise<Verified> {
  const { code, terminal } = await cli(['audit', 'verify', '--json'])
  const report = JSON.parse(terminal.outText) as Verified
  expect(code).toBe(report.verified ? 0 : 1)
  return report
}

async function everyObject(): Promise<string> {
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: bucket() }))
  const texts = Contents.map(async ({ Key }) => {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket(), Key }))
    return (await Body?.transformToString()) ?? ''
  })
  return (await Promise.all(texts)).join('\n')
}

describe('the audit trail of a running broker', () => {
  it('holds exchanges and refusals, verifies, and carries no token (J08)', async () => {
    const sent: string[] = []
    const issued: string[] = []
    for (const audience of [PAYMENTS, LEDGER, PAYMENTS]) {
      const preset = audience === LEDGER ? 'gitlab' : 'github-actions'
      const token = await broker.sign({ preset })
      sent.push(token)
      const { body } = await broker.exchange(token, { audience })
      issued.push(body['access_token'] ?? '')
    }
    const canary = `canary-${'x'.repeat(40)}`
    await broker.exchange(canary, { audience: PAYMENTS })
    await broker.exchange(sent[0] ?? '', { audience: `https://${canary}.example.com` })
    await broker.cloud.delivered()
    await tick()
    const report = await verify()
    expect(report).toMatchObject({ verified: true, table_records_compared: 3 })
    expect(report.records).toBeGreaterThanOrEqual(5)
    const everything = `${await everyObject()}\n${broker.lines.join('\n')}`
    expect(everything).toContain('exchange_refused')
    for (const secret of [...sent, ...issued]) {
      const [, payload = '', signature = ''] = secret.split('.')
      for (const part of [payload.slice(0, 24), signature.slice(0, 24)]) {
        expect(part.length).toBeGreaterThan(20)
        expect(everything).not.toContain(part)
      }
    }
    expect(everything).not.toContain('canary-')
    expect(broker.defects).toEqual([])
  })

  it('shows a token’s family, with what was revoked of it', async () => {
    const subject = await broker.sign({ preset: 'github-actions' })
    const { body } = await broker.exchange(subject, { audience: PAYMENTS })
    const parent = body['access_token'] ?? ''
    const onward = await broker.exchange(parent, { audience: RECEIPTS })
    expect(onward.status).toBe(200)
    await broker.cloud.delivered()
    const { jti = '' } = decodeJwt(parent)
    const before = await cli(['audit', 'lineage', jti, '--json'])
    const [tree] = JSON.parse(before.terminal.outText) as [Tree]
    expect(tree.children[0]?.issued?.jti).toBe(jti)
    expect(tree.children[0]?.children[0]?.issued?.jti).toBe(decodeJwt(onward.body['access_token'] ?? '').jti)
    const Item = { pk: { S: `token#${tree.children[0]?.token ?? ''}` }, cut_off: { N: String(now()) } }
    await broker.dynamoDb.send(new PutItemCommand({ TableName: broker.table('Revocations'), Item }))
    const after = await cli(['audit', 'lineage', jti])
    const [root = '', first = '', second = ''] = after.terminal.outText.split('\n')
    expect(root).not.toContain('REVOKED')
    expect(first).toContain('REVOKED by token#')
    expect(second).toContain('REVOKED by token#')
    expect((await cli(['audit', 'lineage', 'nothing'])).code).toBe(1)
    expect((await cli(['audit', 'lineage', parent])).code).toBe(2)
  })

  it('says of a token that it was not released while KMS was down, and then that a retry got it', async () => {
    const subject = await broker.sign({ preset: 'github-actions' })
    const ask = () =>
      broker.exchange(subject, { audience: PAYMENTS }, { 'idempotency-key': 'when-kms-is-down-again' })
    broker.cloud.aws.faults.set({ operation: 'kms:Sign', kind: 'error', code: 'KMSInternalException' })
    expect((await ask()).status).toBe(503)
    broker.cloud.aws.faults.clear()
    const { jti, iss: issuer = '' } = decodeJwt(subject)
    const lineage = async () => {
      await broker.cloud.delivered()
      const id = tokenIdOf({ kind: 'token', issuer, jti, signingInput: '' })
      return (await cli(['audit', 'lineage', id])).terminal.outText
    }
    // Record and log line may still be on their way when the answer is there.
    const patiently = { timeout: 20_000 }
    await expect.poll(lineage, patiently).toContain('NOT RELEASED: the request failed, unless to the same')
    expect((await ask()).status).toBe(200)
    await expect.poll(lineage, patiently).toContain('RELEASED TO A RETRY at ')
  })

  it('loses nothing while the bucket is down, and catches up when it is back', async () => {
    broker.cloud.aws.faults.set({ operation: 's3:PutObject', kind: 'error', code: 'InternalError', times: 6 })
    await broker.exchange(await broker.sign({ preset: 'github-actions' }), { audience: PAYMENTS })
    await broker.cloud.delivered()
    broker.cloud.aws.faults.clear()
    await tick()
    expect((await verify()).findings).toEqual([])
    expect(broker.lines.some((line) => line.includes('"AuditLag"'))).toBe(true)
    expect(broker.lines.some((line) => line.includes('s3: InternalError'))).toBe(true)
  })

  it('refuses a second version of an object, and a deletion, to the operator too', async () => {
    const Key = 'audit/000000000001.json'
    const overwrite = s3.send(new PutObjectCommand({ Bucket: bucket(), Key, Body: Buffer.from('{}') }))
    await expect(overwrite).rejects.toMatchObject({ name: 'AccessDenied' })
    const deletion = s3.send(new DeleteObjectCommand({ Bucket: bucket(), Key }))
    await expect(deletion).rejects.toMatchObject({ name: 'AccessDenied' })
  })

  it('uses every permission of the export', () => {
    const unused = broker.cloud
      .unusedPermissions()
      .filter(({ principal }) => principal.includes('ExportAudit'))
    expect(unused).toEqual([])
  })

  it('tells when somebody edits the table, in the table and in the trail', async () => {
    const TableName = broker.table('Exchanges')
    const { Items = [] } = await broker.dynamoDb.send(new ScanCommand({ TableName }))
    // Not the row of an actor's token: it carries no record.
    const item = Items.find(({ event }) => event?.S?.includes('"exchange_granted"'))
    const pk = { S: item?.['pk']?.S ?? '' }
    const event = {
      S: (item?.['event']?.S ?? '').replace('"exchange_granted"', '"exchange_granted","forged":true'),
    }
    const update = { TableName, Key: { pk }, UpdateExpression: 'SET #e = :e' }
    await broker.dynamoDb.send(
      new UpdateItemCommand({
        ...update,
        ExpressionAttributeNames: { '#e': 'event' },
        ExpressionAttributeValues: { ':e': event },
      }),
    )
    await broker.cloud.delivered()
    await tick()
    const problems = (await verify()).findings.map(({ problem }) => problem)
    expect(problems).toContain('table_record_differs')
    expect(problems).toContain('table_record_overwritten')
    expect(await broker.dynamoDb.send(new GetItemCommand({ TableName, Key: { pk } }))).toBeTruthy()
  })
})

interface Tree {
  readonly token: string
  readonly issued?: { readonly jti: string }
  readonly children: readonly Tree[]
}
