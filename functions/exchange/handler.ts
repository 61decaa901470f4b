import { composeExchange } from '../compose.ts'
import { httpHandler } from '../http/rim.ts'
import { readCounting } from '../settings.ts'
import { createTelemetry } from '../telemetry.ts'
import { serveToken } from './serve-token.ts'

const telemetry = createTelemetry('token', readCounting())
const { handOver, ...world } = composeExchange(telemetry.keysFailed)

export const handler = httpHandler(serveToken(world, telemetry, handOver), telemetry)
