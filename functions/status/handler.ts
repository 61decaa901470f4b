import { composeStatus } from '../compose.ts'
import { httpHandler } from '../http/rim.ts'
import { createDocumentTelemetry } from '../telemetry.ts'
import { serveStatusLists } from './serve-status-lists.ts'

const { stage, ...world } = composeStatus()

export const handler = httpHandler(serveStatusLists(world), createDocumentTelemetry('status', stage))
