import { composeExchange } from '../compose.ts'
import { httpHandler } from '../http/rim.ts'
import { createTelemetry } from '../telemetry.ts'
import { serveToken } from './serve-token.ts'

const { stage, handOver, ...world } = composeExchange()
const telemetry = createTelemetry('token', stage)

export const handler = httpHandler(serveToken(world, telemetry, handOver), telemetry)
