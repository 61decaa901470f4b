import { type ExchangeDependencies, type ExchangeOutcome, exchange } from '../core/exchange.ts'
import type { TokenRequestInput } from '../core/token-request.ts'
import type { RequestContext } from '../http/rim.ts'
import type { Telemetry } from '../telemetry.ts'

/** An exchange, with the audit event of what was refused, or released to a retry, in the log. Throws the fault, of which the rim tells. */
export async function performExchange(
  input: TokenRequestInput,
  context: RequestContext,
  {
    world,
    log,
  }: { readonly world: ExchangeDependencies; readonly log: Pick<Telemetry, 'refused' | 'repeated'> },
): Promise<ExchangeOutcome> {
  const outcome = await exchange(input, context, world)
  // It has been answered that time is over, and the trail says so: nobody gets what comes now.
  if (context.isAnswered()) return outcome
  if ('refused' in outcome) {
    log.refused(outcome.event)
    context.accounted()
  } else if (outcome.repeated !== undefined) log.repeated(outcome.repeated)
  return outcome
}
