import type { AuditEvent } from '../../../functions/core/audit-event.ts'
import { type LineageNode, LineageSearch } from '../../cli/lineage.ts'
import type { Operator } from './operator.ts'

/** The trees of a token, `jti` or `txn` among the exchanges of this run, with what is revoked now; none if it is unknown. */
export async function lineageOf(
  wanted: string,
  events: readonly AuditEvent[],
  operator: Operator,
): Promise<readonly LineageNode[]> {
  const found = new LineageSearch(wanted)
  for (const event of events) found.addEvent({ ...event })
  if (found.keys().length === 0) return []
  const { addCutOffs } = await import('../../cli/audit-lineage.ts')
  await addCutOffs(found, await operator.deployment())
  return found.trees()
}
