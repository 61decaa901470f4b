import { composeIntrospection } from '../compose.ts'
import { httpHandler } from '../http/rim.ts'
import { readSettings } from '../settings.ts'
import { createTelemetry } from '../telemetry.ts'
import { serveIntrospection } from './serve-introspection.ts'

const telemetry = createTelemetry('introspect', readSettings(['stage']).stage)
const world = composeIntrospection(telemetry.keysFailed)

export const handler = httpHandler(serveIntrospection(world, telemetry), telemetry)
