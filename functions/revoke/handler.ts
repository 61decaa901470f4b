import { composeRevocation } from '../compose.ts'
import { httpHandler } from '../http/rim.ts'
import { OPERATOR_REVOCATION_PATH, readCounting } from '../settings.ts'
import { createTelemetry, Environment } from '../telemetry.ts'
import { serveOperatorRevocation, serveRevocation } from './serve-revocation.ts'

const counting = readCounting()
const environment = new Environment()
const telemetry = createTelemetry('revoke', counting, environment)
const operatorTelemetry = createTelemetry('admin', counting, environment)
const world = composeRevocation(telemetry.keysFailed)

const revoke = httpHandler(serveRevocation(world, telemetry), telemetry)
const revokeByOperator = httpHandler(serveOperatorRevocation(world, operatorTelemetry), operatorTelemetry)

/** Two routes, one set of permissions. Which one it is, the gateway says; the operators' asks for a caller by itself. */
export const handler: typeof revoke = (event, context) =>
  isForOperators(event) ? revokeByOperator(event, context) : revoke(event, context)

function isForOperators(event: unknown): boolean {
  return (
    typeof event === 'object' && event !== null && 'path' in event && event.path === OPERATOR_REVOCATION_PATH
  )
}
