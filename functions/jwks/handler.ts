import { composeDocuments } from '../compose.ts'
import { httpHandler } from '../http/rim.ts'
import { createDocumentTelemetry } from '../telemetry.ts'
import { serveDocuments } from './serve-documents.ts'

const { stage, ...documents } = composeDocuments()

export const handler = httpHandler(serveDocuments(documents), createDocumentTelemetry('metadata', stage))
