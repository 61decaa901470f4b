import { randomUUID } from 'node:crypto'
import type { SourceRecord } from './event-source.ts'
import type { EventSourcePlan } from './plan/cloud-plan.ts'

/** What Lambda sends to a mapping's destination: where in the stream the records are, not the records. */
export function failedBatchMessage(
  plan: EventSourcePlan,
  records: readonly SourceRecord[],
  { functionArn, now }: { readonly functionArn: string; readonly now: number },
): string {
  const arrivalOf = (record: SourceRecord | undefined) =>
    new Date((record?.dynamodb.ApproximateCreationDateTime ?? 0) * 1000).toISOString()
  return JSON.stringify({
    requestContext: { requestId: randomUUID(), functionArn, condition: 'RetryAttemptsExhausted' },
    version: '1.0',
    timestamp: new Date(now).toISOString(),
    DDBStreamBatchInfo: {
      shardId: 'shardId-00000000000000000000-00000000',
      startSequenceNumber: records[0]?.dynamodb.SequenceNumber,
      endSequenceNumber: records.at(-1)?.dynamodb.SequenceNumber,
      approximateArrivalOfFirstRecord: arrivalOf(records[0]),
      approximateArrivalOfLastRecord: arrivalOf(records.at(-1)),
      batchSize: records.length,
      streamArn: plan.streamArn,
    },
  })
}
