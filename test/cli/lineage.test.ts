import { expect, it } from 'vitest'
import { lineageLines } from '../../lib/cli/audit-lineage.ts'
import { LineageSearch } from '../../lib/cli/lineage.ts'
import { MemoryTerminal } from './memory-terminal.ts'

const GRANTED = {
  event: 'exchange_granted',
  correlation_id: 'request-1',
  token: 'issued',
  jti: 'jti',
  txn: 'jti',
  subject: 'ci:job',
  subject_token: 'login',
  client_id: 'ci:job',
  target: 'payments',
  grant: 'payments-ci',
  time: 1_800_000_000,
  expires_at: 1_800_000_300,
}
const FAILED = { event: 'exchange_failed', correlation_id: 'request-1', reason: 'fault', withheld: 'issued' }
const REPEATED = { event: 'exchange_repeated', correlation_id: 'request-2', token: 'issued' }

/** What `audit lineage` prints of the token, after its grant. */
function said(...events: readonly object[]): string | undefined {
  const search = new LineageSearch('login')
  for (const event of [...events, GRANTED]) search.addEvent({ ...event })
  const [tree] = search.trees()
  const lines = tree && lineageLines(tree, 'login', new MemoryTerminal())
  expect(lines?.[0]).toBe('login  external token')
  return lines?.[1]?.replace(/^.*2027-01-15 08:05Z/, '').trim()
}

it.each([
  ['it was released', [], ''],
  ['the request failed', [FAILED], 'NOT RELEASED: the request failed'],
  [
    'the request was refused',
    [{ ...FAILED, event: 'exchange_refused', reason: 'token_revoked' }],
    'NOT RELEASED: refused as token_revoked',
  ],
  [
    'the request failed, and there may be a retry',
    [{ ...FAILED, withheld_but_for_retry: true }],
    'NOT RELEASED: the request failed, unless to the same request under its idempotency key',
  ],
  [
    'retries got it, the first of them first',
    [{ ...REPEATED, time: 1_800_000_120 }, FAILED, { ...REPEATED, time: 1_800_000_060 }],
    'RELEASED TO A RETRY at 2027-01-15 08:01Z: first the request failed',
  ],
  ['it was released, and once more', [{ ...REPEATED, time: 1_800_000_060 }], ''],
  ['another request failed over it', [{ ...FAILED, correlation_id: 'request-3' }], ''],
])('of a token audit lineage says whether anybody got it: %s', (_, events, expected) => {
  expect(said(...events)).toBe(expected)
})
