import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { LogSubscription } from '../../../lib/local/log-subscription.ts'

const PLAN = {
  logGroup: 'group',
  sourceFunction: 'source',
  filterName: 'filter',
  filterPattern: '{ $.audit.event = "*" }',
  functionName: 'target',
}

interface Delivery {
  readonly messageType: string
  readonly logGroup: string
  readonly logEvents: readonly { readonly id: string; readonly message: string }[]
}

function subscription(filterPattern = PLAN.filterPattern) {
  const deliveries: Delivery[] = []
  const source = new LogSubscription({
    plan: { ...PLAN, filterPattern },
    account: '111111111111',
    clock: () => 1_800_000_000_000,
    invoke: async ({ awslogs }) => {
      const json = gunzipSync(Buffer.from(awslogs.data, 'base64')).toString()
      deliveries.push(JSON.parse(json) as Delivery)
    },
  })
  return { source, deliveries }
}

describe('a log subscription', () => {
  it('sends the lines that have the property, as CloudWatch packs them, and no other', async () => {
    const { source, deliveries } = subscription()
    const wanted = JSON.stringify({ message: 'refused', audit: { event: 'exchange_refused' } })
    for (const line of [wanted, 'plain text', '{"audit":{}}', '{"audit":null}', '[]', wanted])
      source.add(line)
    await source.flush()
    expect(deliveries).toHaveLength(1)
    expect(deliveries[0]).toMatchObject({ messageType: 'DATA_MESSAGE', logGroup: 'group' })
    expect(deliveries[0]?.logEvents.map(({ message }) => message)).toEqual([wanted, wanted])
    expect(new Set(deliveries[0]?.logEvents.map(({ id }) => id)).size).toBe(2)
  })

  it('sends nothing without a match', async () => {
    const { source, deliveries } = subscription()
    source.add('{"message":"x"}')
    await source.flush()
    expect(deliveries).toEqual([])
  })

  it('refuses a pattern that it does not know', () => {
    expect(() => subscription('[ip, user]')).toThrow('does not know the filter pattern')
  })
})
