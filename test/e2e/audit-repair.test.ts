import { DeleteItemCommand, ScanCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MemoryTerminal } from '../cli/memory-terminal.ts'
import { runAsOperator } from '../cli/operator.ts'
import { PAYMENTS, startTestCloud, type TestCloud } from '../support/cloud.ts'

const DAY_MILLISECONDS = 24 * 3600 * 1000
/** What is in the table is then old enough to be compared. */
const LATER_SECONDS = 1200

let broker: TestCloud
/** Of the cloud's clock before ours. */
let ahead: number

beforeEach(async () => {
  ahead = 0
  broker = await startTestCloud({ clock: () => Date.now() + ahead })
})
afterEach(async () => {
  await broker.close()
  expect(broker.defects).toEqual([])
})

const cli = (args: readonly string[], terminal = new MemoryTerminal()) =>
  runAsOperator(broker, args, { terminal, time: Math.floor(Date.now() / 1000) + LATER_SECONDS })

async function problems(): Promise<readonly string[]> {
  await broker.cloud.invoke('ExportAuditFunction', { source: 'aws.events' })
  const { out } = await cli(['audit', 'verify', '--json'])
  const { findings } = JSON.parse(out) as { findings: readonly { problem: string }[] }
  return findings.map(({ problem }) => problem)
}

async function exchange(): Promise<void> {
  const { status } = await broker.exchange(await broker.sign({ preset: 'kubernetes' }), {
    audience: PAYMENTS,
  })
  expect(status).toBe(200)
}

/** Exchanges while the bucket is down for longer than the stream holds their records. */
async function exchangeInOutage(count: number): Promise<void> {
  broker.cloud.aws.faults.set({ operation: 's3:PutObject', kind: 'error', code: 'InternalError' })
  for (let done = 0; done < count; done++) await exchange()
  ahead = DAY_MILLISECONDS
  await broker.cloud.delivered()
  ahead = 0
  broker.cloud.aws.faults.clear()
}

/** Every record that the table holds, with its key. */
async function items() {
  const { Items = [] } = await broker.dynamoDb.send(new ScanCommand({ TableName: broker.table('Exchanges') }))
  return Items
}

describe('audit repair, after an outage in which the stream has lost records', () => {
  it('has them exported again, once, and as they were', async () => {
    await exchange()
    await broker.cloud.delivered()
    await exchangeInOutage(2)
    expect(broker.lines.some((line) => line.includes('gave up on'))).toBe(true)
    expect(await problems()).toEqual(['table_record_missing', 'table_record_missing'])
    const before = await items()

    const unconfirmed = await cli(['audit', 'repair'])
    expect(unconfirmed).toMatchObject({ code: 1, err: expect.stringContaining('add --yes') })
    expect(unconfirmed.err).toMatch(/^2 records of \S+ are not in the trail/m)
    expect(await items()).toEqual(before)

    const { code, out } = await cli(['audit', 'repair', '--yes', '--json'])
    expect(code).toBe(0)
    expect(JSON.parse(out)).toEqual({ missing: 2, carried_again: 2, changed: [], other_findings: 0 })
    await broker.cloud.delivered()
    expect(await problems()).toEqual([])
    const after = (await items()).map((item) =>
      Object.fromEntries(Object.entries(item).filter(([name]) => name !== 'repaired')),
    )
    expect(after).toEqual(before)

    const again = await cli(['audit', 'repair'])
    expect(again).toMatchObject({ code: 0, out: 'The trail has every record of the table.\n' })
  })

  const key = (item: Awaited<ReturnType<typeof items>>[number] | undefined) => ({
    TableName: broker.table('Exchanges'),
    Key: { pk: item?.['pk'] ?? { S: '' } },
  })
  it.each([
    [
      'changed',
      (item: Parameters<typeof key>[0]) =>
        broker.dynamoDb.send(
          new UpdateItemCommand({
            ...key(item),
            UpdateExpression: 'SET attempt = :other',
            ExpressionAttributeValues: { ':other': { S: 'somebody' } },
          }),
        ),
    ],
    ['deleted', (item: Parameters<typeof key>[0]) => broker.dynamoDb.send(new DeleteItemCommand(key(item)))],
  ])('leaves a record alone that was %s since the plan was made, and says so', async (_, meddle) => {
    await exchangeInOutage(1)
    const [item] = await items()
    const terminal = new MemoryTerminal({ answers: ['yes'] })
    let meddled: unknown
    terminal.ask = async () => {
      await meddle(item)
      meddled = await items()
      return 'yes'
    }
    const { code, out } = await cli(['audit', 'repair'], terminal)
    expect(code).toBe(1)
    expect(out).toContain('was changed or deleted meanwhile')
    expect(out).toContain('0 of 1 records are on their way')
    expect(await items()).toEqual(meddled)
  })

  it('says what it does not mend', async () => {
    await exchangeInOutage(1)
    await broker.cloud.invoke('ExportAuditFunction', { source: 'aws.events' })
    const { err } = await runAsOperator(broker, ['audit', 'repair'], {
      time: Math.floor(Date.now() / 1000) + 3 * 3600,
    })
    expect(err).toContain('1 OTHER FINDINGS of audit verify are not mended by this')
  })
})
