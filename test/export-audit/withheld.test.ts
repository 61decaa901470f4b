import { beforeEach, describe, expect, it } from 'vitest'
import type { RefusedEvent } from '../../functions/core/audit-event.ts'
import type { ExchangeOutcome } from '../../functions/core/exchange.ts'
import type { ExchangeRecord, RevocationKey } from '../../functions/core/ports.ts'
import { type LineageNode, LineageSearch } from '../../lib/cli/lineage.ts'
import { change, createTestExport, exchangeItem, logDelivery } from '../support/audit.ts'
import { createTestBroker, NOW, type TestBroker } from '../support/broker.ts'
import { assertionParameters } from '../support/clients.ts'

/*
 * The record of an exchange is written before it is known whether the token may be released. Whoever reads the trail must
 * not take it for a token that somebody has.
 */

const IDEMPOTENCY_KEY = ['once-and-no-more-than-once']

let broker: TestBroker
beforeEach(async () => {
  broker = await createTestBroker()
})

function recordIn({ ledger }: TestBroker): ExchangeRecord {
  const [record, ...more] = [...ledger.records.values()]
  if (record === undefined || more.length > 0) throw new Error('one record, please')
  return record
}

function refusalIn(outcome: ExchangeOutcome): RefusedEvent {
  if ('answer' in outcome) throw new Error('granted')
  return outcome.event
}

/** As the trail has them, and as `audit lineage` reads that. */
async function exported(record: ExchangeRecord, refusals: readonly RefusedEvent[]) {
  const { handle, records } = createTestExport({})
  await handle({ Records: [change({ ...exchangeItem('a'), event: { S: JSON.stringify(record.event) } })] })
  await handle(logDelivery(refusals.map((audit) => ({ audit }))))
  const search = new LineageSearch(record.issued.id)
  const trail = await records()
  for (const one of trail) search.add(one)
  const [root] = search.trees() as [LineageNode]
  return { trail, node: root.children[0] }
}

async function revoke(event: { readonly lineage?: readonly string[] }): Promise<void> {
  broker.revocations.stored.set(`token#${event.lineage?.[0] ?? ''}` as RevocationKey, NOW)
}

/** A request whose subject token is revoked at the very moment. */
async function refusedAfterRecord(more: object = {}): Promise<RefusedEvent> {
  const subject_token = await broker.subjectToken()
  const record = broker.ledger.record.bind(broker.ledger)
  broker.world.ledger.record = async (exchange) => {
    await revoke(exchange.event as object)
    return record(exchange)
  }
  return refusalIn(await broker.exchange({ subject_token }, more))
}

describe('an exchange that is refused after its record was written', () => {
  it('because its token is revoked, names the token as withheld', async () => {
    const refusal = await refusedAfterRecord()
    const record = recordIn(broker)
    expect(refusal).toMatchObject({ reason: 'token_revoked', withheld: record.issued.id })
    expect(refusal).not.toHaveProperty('withheld_but_for_retry')
    const { trail, node } = await exported(record, [refusal])
    expect(node?.withheld).toEqual({ reason: 'token_revoked', butForRetry: false })
    expect(trail.map(({ status_detail: detail }) => detail)).toEqual([
      'authorised',
      `withheld ${record.issued.id}`,
    ])
  })

  it('because the client’s assertion is used twice, names it too', async () => {
    const assertion = assertionParameters(await broker.assertion('checkout'))
    const first = await broker.subjectToken('pod')
    await broker.exchange({ subject_token: first, ...assertion })
    broker.ledger.records.clear()
    const refusal = refusalIn(
      await broker.exchange({ subject_token: await broker.subjectToken('pod'), ...assertion }),
    )
    expect(refusal).toMatchObject({ withheld: recordIn(broker).issued.id })
  })

  it('says where a retry may have been given the token all the same', async () => {
    const assertion = assertionParameters(await broker.assertion('checkout'))
    await broker.exchange({ subject_token: await broker.subjectToken('pod'), ...assertion })
    broker.ledger.records.clear()
    const subject_token = await broker.subjectToken('desk')
    const more = { idempotencyKey: IDEMPOTENCY_KEY }
    const refusal = refusalIn(await broker.exchange({ subject_token, ...assertion }, more))
    const fresh = assertionParameters(await broker.assertion('checkout'))
    expect(await broker.exchange({ subject_token, ...fresh }, more)).toHaveProperty('answer')
    const { node } = await exported(recordIn(broker), [refusal])
    expect(node?.withheld?.butForRetry).toBe(true)
  })
})

it('a refusal that leaves no record withholds nothing, and neither does a release', async () => {
  const subject_token = await broker.subjectToken()
  expect(await broker.exchange({ subject_token })).toHaveProperty('answer')
  const refusals = [
    await broker.exchange({ subject_token }),
    await broker.exchange({ subject_token: await broker.subjectToken('ci', { repository_id: '1' }) }),
  ].map(refusalIn)
  expect(refusals.map(({ reason }) => reason)).toEqual(['token_replayed', 'no_grant_matches'])
  for (const refusal of refusals) expect(refusal).not.toHaveProperty('withheld')
  const { node } = await exported(recordIn(broker), refusals)
  expect(node?.issued).toBeDefined()
  expect(node).not.toHaveProperty('withheld')
})

it('of refusals that withhold a token none is left out, however many are alike', async () => {
  const refusal = await refusedAfterRecord()
  const alike = Array.from({ length: 30 }, () => refusal)
  const { trail } = await exported(recordIn(broker), alike)
  expect(trail).toHaveLength(31)
})
