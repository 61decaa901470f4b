import { composeIntrospection } from '../compose.ts'
import { httpHandler } from '../http/rim.ts'
import { readCounting } from '../settings.ts'
import { createTelemetry } from '../telemetry.ts'
import { serveIntrospection } from './serve-introspection.ts'

const telemetry = createTelemetry('introspect', readCounting())
const world = composeIntrospection(telemetry.keysFailed)

export const handler = httpHandler(serveIntrospection(world, telemetry), telemetry)
