import { gunzipSync } from 'node:zlib'
import {
  type AuditEntry,
  DELETED,
  entryOfChange,
  entryOfLogLine,
  type LogEvent,
  type StreamRecord,
  UNREADABLE,
} from '../core/audit-entry.ts'
import { boundRefusals } from '../core/audit-sampling.ts'
import type { AuditTelemetry } from '../run-telemetry.ts'
import { type AuditExport, exportEntries, writeCheckpoint } from './export-audit.ts'

/** Lambda's answer for a stream: from the named record on, the batch is delivered again. */
export interface StreamAnswer {
  readonly batchItemFailures: readonly { readonly itemIdentifier: string }[]
}

/**
 * The three events that the function is for: changes of the exchanges table, log lines with audit events, and the
 * schedule of the checkpoints.
 */
export function serveExport(
  world: AuditExport,
  telemetry: AuditTelemetry,
): (event: unknown) => Promise<StreamAnswer | undefined> {
  return async (event) => {
    if (isStreamEvent(event)) return exportChanges(event.Records, world, telemetry)
    if (isLogsEvent(event)) await exportLogLines(event.awslogs.data, world, telemetry)
    else if (isSchedule(event)) await checkpoint(world, telemetry)
    else throw new TypeError('this event is of no kind that the audit export knows')
    return undefined
  }
}

/** The whole batch in one object, or none of it: then it is delivered again, until it succeeds. */
async function exportChanges(
  changes: readonly StreamRecord[],
  world: AuditExport,
  telemetry: AuditTelemetry,
): Promise<StreamAnswer> {
  const entries = changes.map(entryOfChange).filter((entry) => entry !== undefined)
  const lagSeconds = lagOf(changes, world.now())
  try {
    await exportEntries(entries, world)
  } catch (fault) {
    telemetry.failed(fault)
    telemetry.measure({ exported: 0, lagSeconds, lostClaims: [] })
    return { batchItemFailures: [{ itemIdentifier: changes[0]?.dynamodb?.SequenceNumber ?? '' }] }
  }
  const exported = entries.length - reportUnreadable(entries, telemetry)
  telemetry.measure({ exported, lagSeconds, lostClaims: lostClaimsIn(entries) })
  return { batchItemFailures: [] }
}

/** Throws what failed, so that Lambda delivers the lines again, and in the end to the queue. */
async function exportLogLines(data: string, world: AuditExport, telemetry: AuditTelemetry): Promise<void> {
  const { messageType, logGroup, logEvents } = readLogs(data)
  // CloudWatch asks now and then whether anybody is there.
  if (messageType !== 'DATA_MESSAGE') return
  const entries = boundRefusals(logEvents.map((line) => entryOfLogLine(logGroup, line)))
  await reported(exportEntries(entries, world), telemetry)
  reportUnreadable(entries, telemetry)
}

async function checkpoint(world: AuditExport, telemetry: AuditTelemetry): Promise<void> {
  await reported(writeCheckpoint(world), telemetry)
}

async function reported<T>(work: Promise<T>, telemetry: AuditTelemetry): Promise<T> {
  try {
    return await work
  } catch (fault) {
    telemetry.failed(fault)
    // Without its cause, which Lambda would print as a whole: what may be said of it is in the log already.
    throw new Error(`audit export: ${fault instanceof Error ? fault.message : 'unknown fault'}`)
  }
}

/** How long the oldest change of the batch has waited. */
function lagOf(changes: readonly StreamRecord[], now: number): number {
  const times = changes.map(({ dynamodb }) => dynamodb?.ApproximateCreationDateTime ?? now)
  return Math.max(0, now - Math.min(now, ...times))
}

function reportUnreadable(entries: readonly AuditEntry[], telemetry: AuditTelemetry): number {
  const count = entries.filter(({ event }) => event['event'] === UNREADABLE).length
  if (count > 0) telemetry.unreadable(count)
  return count
}

/** Records that somebody replaced or deleted while they still kept a replay out. */
function lostClaimsIn(entries: readonly AuditEntry[]): readonly string[] {
  return entries.flatMap(({ overwrote, event }) => {
    if (overwrote !== undefined) return [overwrote]
    return event['event'] === DELETED ? [String(event['record'])] : []
  })
}

interface LogsMessage {
  readonly messageType: string
  readonly logGroup: string
  readonly logEvents: readonly LogEvent[]
}

function readLogs(data: string): LogsMessage {
  return JSON.parse(gunzipSync(Buffer.from(data, 'base64')).toString('utf8')) as LogsMessage
}

function isStreamEvent(event: unknown): event is { readonly Records: readonly StreamRecord[] } {
  return typeof event === 'object' && event !== null && 'Records' in event && Array.isArray(event.Records)
}

function isLogsEvent(event: unknown): event is { readonly awslogs: { readonly data: string } } {
  return typeof event === 'object' && event !== null && 'awslogs' in event
}

function isSchedule(event: unknown): boolean {
  return typeof event === 'object' && event !== null && 'source' in event && event.source === 'aws.events'
}
