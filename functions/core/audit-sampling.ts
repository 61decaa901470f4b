import type { AuditEntry } from './audit-entry.ts'

/** Of refusals that are alike and arrive together, so many are kept one by one. */
export const ALIKE_REFUSALS = 10
/** What makes two refusals alike: all of it is ours or was verified. What an unknown sender wrote takes no part. */
const ALIKE = ['event', 'reason', 'issuer', 'subject', 'client_id', 'target', 'grant']

/**
 * Bounds what a flood of refusals can make the trail hold: beyond the first ten of a kind in one delivery, the rest become
 * one entry that says how many they were. Anything but a refusal is kept, always, and a refusal that names a
 * recorded token too.
 */
export function boundRefusals(entries: readonly AuditEntry[]): readonly AuditEntry[] {
  const kinds = new Map<string, AuditEntry[]>()
  for (const entry of entries) {
    const kind = kindOf(entry)
    kinds.set(kind, [...(kinds.get(kind) ?? []), entry])
  }
  return [...kinds.values()].flatMap((alike) => {
    const kept = alike.slice(0, ALIKE_REFUSALS)
    const rest = alike.slice(ALIKE_REFUSALS)
    return rest.length < 2 ? alike : [...kept, summaryOf(rest)]
  })
}

function kindOf({ id, event }: AuditEntry): string {
  const name = event['event']
  if (typeof name !== 'string' || !name.endsWith('_refused')) return id
  // It takes back what the record of an exchange says, of which none is left out.
  if ('withheld' in event) return id
  return JSON.stringify(ALIKE.map((fact) => event[fact] ?? null))
}

/** Its id is the first one's, so that a repeated delivery of the same lines gives the same id. */
function summaryOf(alike: readonly [] | readonly AuditEntry[]): AuditEntry {
  const [first] = alike
  if (first === undefined) throw new RangeError('a summary of nothing')
  const facts = Object.fromEntries(
    ['time', 'policy', ...ALIKE].flatMap((fact) => (fact in first.event ? [[fact, first.event[fact]]] : [])),
  )
  const last = Math.max(...alike.map(({ time }) => time))
  return { ...first, event: { ...facts, until: Math.floor(last / 1000) }, count: alike.length }
}
