import { composeAuditExport } from '../compose.ts'
import { createAuditTelemetry } from '../run-telemetry.ts'
import { serveExport } from './serve-export.ts'

const { stage, ...world } = composeAuditExport()

export const handler = serveExport(world, createAuditTelemetry(stage))
