import { composeCredentials } from '../compose.ts'
import { serveToken } from '../exchange/serve-token.ts'
import { httpHandler } from '../http/rim.ts'
import { AWS_CREDENTIALS_PATH, readCounting } from '../settings.ts'
import { createTelemetry, Environment } from '../telemetry.ts'
import { inContainerWords, serveCredentials } from './serve-credentials.ts'

const counting = readCounting()
const environment = new Environment()
const telemetry = createTelemetry('aws_credentials', counting, environment)
const tokenTelemetry = createTelemetry('token', counting, environment)
const world = composeCredentials(telemetry.keysFailed)

const getCredentials = httpHandler(serveCredentials(world, telemetry), telemetry)
const exchangeToken = httpHandler(serveToken(world, tokenTelemetry), tokenTelemetry)

/** A route of its own, and what the exchange function hands over: the whole event of a `POST /token`. */
export const handler: typeof exchangeToken = async (event, context) =>
  isForSdks(event) ? inContainerWords(await getCredentials(event, context)) : exchangeToken(event, context)

function isForSdks(event: unknown): boolean {
  if (typeof event !== 'object' || event === null || !('path' in event)) return false
  return typeof event.path === 'string' && event.path.startsWith(AWS_CREDENTIALS_PATH)
}
