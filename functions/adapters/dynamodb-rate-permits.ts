import { randomInt, randomUUID } from 'node:crypto'
import { type DynamoDBClient, UpdateItemCommand } from '@aws-sdk/client-dynamodb'
import type { PermitOutcome, RatePermits } from '../core/ports.ts'
import { type LeasePlan, leasePlan, type RateRule } from '../core/rate.ts'
import { answerOf } from './aws-client.ts'
import { type Item, itemInTheWay } from './condition-failed.ts'

/** What this environment holds of a rule. */
interface Lease {
  permits: number
  readonly usableUntil: number
}

/** Rules that one environment holds leases of; what is forgotten beyond that is only lost. */
const MAX_HELD = 5000
/** Others may take the same place. Whoever is unlucky this often is one of very many, and is told to come back. */
const MAX_TRIES = 8
/** An item is of no use once all its leases are given back; clocks differ a little. */
const MARGIN_SECONDS = 60

/**
 * The `limits` table: one item per rule and whoever it counts, with a place for each lease that holds the time when it
 * was taken. A place can be taken if it is empty or given back: one conditional update, whoever else tries.
 */
export class DynamoDbRatePermits implements RatePermits {
  private readonly client: DynamoDBClient
  private readonly table: string
  private readonly nowMs: () => number
  private readonly held = new Map<string, Lease>()

  constructor(client: DynamoDBClient, table: string, nowMs: () => number) {
    this.client = client
    this.table = table
    this.nowMs = nowMs
  }

  async take(rule: RateRule): Promise<PermitOutcome> {
    const lease = this.usable(rule.key)
    if (lease !== undefined) {
      lease.permits--
      return { kind: 'permitted' }
    }
    return this.lease(rule, leasePlan(rule))
  }

  private async lease(rule: RateRule, plan: LeasePlan): Promise<PermitOutcome> {
    const attempt = randomUUID()
    let places = everyPlace(plan)
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      // Read before the call: what a slow answer costs is lost, never gained.
      const now = this.nowMs()
      const place = places[randomInt(places.length)] ?? 0
      const existing = await this.write({ rule, plan, attempt }, place, now)
      // The SDK repeats a write whose answer was lost: then it is our own lease that stands in the way.
      if (existing === undefined || existing['attempt']?.S === attempt) return this.holding(rule, plan, now)
      places = everyPlace(plan).filter((each) => isFree(existing, each, plan, now))
      if (places.length === 0)
        return { kind: 'exceeded', retryAfterSeconds: secondsUntilFree(existing, plan, now) }
    }
    return { kind: 'exceeded', retryAfterSeconds: 1 }
  }

  /** One permit of the new lease is taken, the others are kept beside those that simultaneous calls have left. */
  private holding({ key }: RateRule, plan: LeasePlan, now: number): PermitOutcome {
    const usableUntil = now + plan.lifetimeMs
    const before = this.usable(key)
    const permits = plan.permits - 1 + (before?.permits ?? 0)
    this.held.delete(key)
    if (permits > 0) this.held.set(key, { permits, usableUntil: before?.usableUntil ?? usableUntil })
    const [oldest] = this.held.keys()
    if (this.held.size > MAX_HELD && oldest !== undefined) this.held.delete(oldest)
    return { kind: 'permitted' }
  }

  private usable(key: string): Lease | undefined {
    const lease = this.held.get(key)
    return lease !== undefined && lease.permits > 0 && this.nowMs() < lease.usableUntil ? lease : undefined
  }

  /** Takes the place, or returns the item as it is if somebody has it. */
  private async write(
    { rule, plan, attempt }: { readonly rule: RateRule; readonly plan: LeasePlan; readonly attempt: string },
    place: number,
    now: number,
  ): Promise<Item | undefined> {
    const update = this.client.send(
      new UpdateItemCommand({
        TableName: this.table,
        Key: { pk: { S: rule.key } },
        UpdateExpression: 'SET #place = :now, attempt = :attempt, expires_at = :expiry',
        ConditionExpression: 'attribute_not_exists(#place) OR #place <= :free',
        ExpressionAttributeNames: { '#place': nameOf(place) },
        ExpressionAttributeValues: {
          ':now': { N: String(now) },
          ':attempt': { S: attempt },
          ':free': { N: String(now - plan.givenBackAfterMs) },
          ':expiry': { N: String(Math.ceil((now + plan.givenBackAfterMs) / 1000) + MARGIN_SECONDS) },
        },
        ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
      }),
    )
    return answerOf(
      'dynamodb',
      update.then(() => undefined, itemInTheWay),
    )
  }
}

function everyPlace({ leases }: LeasePlan): readonly number[] {
  return Array.from({ length: leases }, (_, place) => place)
}

function nameOf(place: number): string {
  return `p${place}`
}

/** When the lease in a place was taken, epoch milliseconds. */
function takenAt(item: Item, place: number): number {
  return Number(item[nameOf(place)]?.N ?? Number.NEGATIVE_INFINITY)
}

function isFree(item: Item, place: number, { givenBackAfterMs }: LeasePlan, now: number): boolean {
  return takenAt(item, place) <= now - givenBackAfterMs
}

function secondsUntilFree(item: Item, plan: LeasePlan, now: number): number {
  const oldest = Math.min(...everyPlace(plan).map((place) => takenAt(item, place)))
  return Math.max(1, Math.ceil((oldest + plan.givenBackAfterMs - now) / 1000))
}
