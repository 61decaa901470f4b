import { composeIntrospection } from '../compose.ts'
import { httpHandler } from '../http/rim.ts'
import { createTelemetry } from '../telemetry.ts'
import { serveIntrospection } from './serve-introspection.ts'

const { stage, ...world } = composeIntrospection()
const telemetry = createTelemetry('introspect', stage)

export const handler = httpHandler(serveIntrospection(world, telemetry), telemetry)
