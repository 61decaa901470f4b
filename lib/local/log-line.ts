import { PROBE } from '../../functions/core/policy/probe.ts'

/** Whether a function's log line is one of CloudWatch's embedded metric format. */
export function isMeasurement(line: string): boolean {
  return isRecord(parse(line)?.['_aws'])
}

/** What a person at a terminal needs of a function's log line: refusals, faults and what is not JSON; else `undefined`. */
export function shortLogLine(line: string): string | undefined {
  const entry = parse(line)
  if (entry === undefined) return line.trim() === '' ? undefined : line.slice(0, 300)
  const { message, level, audit, fault, correlation_id, check } = entry
  if (isRecord(audit) && isOfProbe(audit)) return undefined
  if (isRecord(audit))
    return `${text(message)}: ${text(audit['reason'])}${details(audit['detail'])} (${text(audit['correlation_id'])})`
  if (isRecord(fault))
    return `${text(message)}: ${text(fault['name'])}: ${causes(fault)} (${text(correlation_id)})`
  return level === 'WARN' || level === 'ERROR' || level === 'CRITICAL'
    ? [`${level}: ${text(message)}`, text(check)].join(' ').trim()
    : undefined
}

/** Its refusals are what it is for. What it finds wrong it says itself. */
function isOfProbe({ issuer, client_id, author, target }: Readonly<Record<string, unknown>>): boolean {
  return [issuer, client_id, author, target].includes(PROBE)
}

function causes({ message, cause }: Readonly<Record<string, unknown>>): string {
  return isRecord(cause)
    ? `${text(message)}: ${text(cause['name'])}: ${text(cause['message'])}`
    : text(message)
}

function details(value: unknown): string {
  return isRecord(value) && Object.keys(value).length > 0 ? ` ${JSON.stringify(value).slice(0, 200)}` : ''
}

function parse(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
