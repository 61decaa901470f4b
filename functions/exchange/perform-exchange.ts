import type { AuditContext } from '../core/audit-event.ts'
import { type ExchangeDependencies, type ExchangeOutcome, exchange, NotReleased } from '../core/exchange.ts'
import type { StageListener } from '../core/ports.ts'
import type { TokenRequestInput } from '../core/token-request.ts'
import type { Telemetry } from '../telemetry.ts'

/** An exchange, with the audit event of what was refused, or failed after its record was written, in the log. Throws the fault. */
export async function performExchange(
  input: TokenRequestInput,
  context: Pick<AuditContext, 'now' | 'correlationId' | 'traceId'> & Partial<StageListener>,
  { world, log }: { readonly world: ExchangeDependencies; readonly log: Pick<Telemetry, 'refused'> },
): Promise<ExchangeOutcome> {
  try {
    const outcome = await exchange(input, context, world)
    if ('refused' in outcome) log.refused(outcome.event)
    return outcome
  } catch (fault) {
    if (!(fault instanceof NotReleased)) throw fault
    log.refused(fault.event)
    throw fault.cause
  }
}
