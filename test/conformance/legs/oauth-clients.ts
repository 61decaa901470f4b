import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Broker, EXCHANGES, JWT_TYPE, startBroker, TOKEN_EXCHANGE } from '../broker.ts'
import { npmPackages } from '../install.ts'
import { type Leg, type LegContext, type LegOutcome, outcomeOf } from '../leg.ts'

const PACKAGES = { oauth4webapi: '3.8.8', 'openid-client': '6.8.9' } as const
const CLIENT = { client_id: 'conformance' }
const ACCESS_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:access_token'

interface TokenAnswer {
  readonly access_token: string
  readonly token_type: string
  readonly expires_in?: number
  readonly issued_token_type?: string
}

interface AuthorizationServer {
  readonly issuer: string
}

/** The part of oauth4webapi that is used here. The package is installed into the cache, where no type can be found. */
interface Oauth4WebApi {
  readonly allowInsecureRequests: symbol
  discoveryRequest(issuer: URL, options: object): Promise<Response>
  processDiscoveryResponse(issuer: URL, response: Response): Promise<AuthorizationServer>
  None(): unknown
  genericTokenEndpointRequest(
    server: AuthorizationServer,
    client: typeof CLIENT,
    authentication: unknown,
    grantType: string,
    parameters: Readonly<Record<string, string>>,
    options: object,
  ): Promise<Response>
  processGenericTokenEndpointResponse(
    server: AuthorizationServer,
    client: typeof CLIENT,
    response: Response,
  ): Promise<TokenAnswer>
}

/** The part of openid-client that is used here. */
interface OpenIdClient {
  allowInsecureRequests(configuration: unknown): void
  None(): unknown
  discovery(
    server: URL,
    clientId: string,
    metadata: undefined,
    authentication: unknown,
    options: object,
  ): Promise<unknown>
  genericGrantRequest(
    configuration: unknown,
    grantType: string,
    parameters: Readonly<Record<string, string>>,
  ): Promise<TokenAnswer>
}

type Exchange = (parameters: Readonly<Record<string, string>>) => Promise<TokenAnswer>

export const oauthClients: Leg = {
  name: 'oauth-clients',
  proves:
    'certified OAuth clients find the broker by its metadata and exchange a token without a line of special code',
  run: exchangeWithClients,
}

/**
 * How a client may present itself that has no credentials: as a public client, by its `client_id` alone (RFC 6749 §3.2.1,
 * what `none` in the metadata means to these libraries), or not at all (RFC 8693 §2.1 makes it optional).
 */
type Presents = 'client_id' | 'nothing'

async function exchangeWithClients(context: LegContext): Promise<LegOutcome> {
  const modules = await npmPackages('oauth-clients', PACKAGES)
  const broker = await startBroker(context)
  const problems: string[] = []
  for (const metadata of ['oauth2', 'oidc'] as const) {
    for (const presents of ['nothing', 'client_id'] as const) {
      context.say(`${metadata} metadata, the client presents ${presents}`)
      const how = `${metadata} metadata, ${presents} presented`
      const byOauth4WebApi = await oauth4webapi(modules, broker, { metadata, presents })
      problems.push(...(await tryClient(broker, `oauth4webapi, ${how}`, byOauth4WebApi)))
      const byOpenIdClient = await openIdClient(modules, broker, { metadata, presents })
      problems.push(...(await tryClient(broker, `openid-client, ${how}`, byOpenIdClient)))
    }
  }
  const names = Object.entries(PACKAGES).map(([name, version]) => `${name} ${version}`)
  return outcomeOf(problems, `${names.join(' and ')}: discovery, exchanges for RS256 and ES256, a refusal`)
}

/** Two exchanges that must succeed and one that must be refused. */
async function tryClient(broker: Broker, name: string, exchange: Exchange): Promise<readonly string[]> {
  const problems: string[] = []
  const attempt = async (preset: string, audience: string) => {
    const subject_token = await broker.subjectToken(preset)
    return exchange({ subject_token, subject_token_type: JWT_TYPE, audience }).then(faultOf, errorText)
  }
  for (const { algorithm, preset, audience } of EXCHANGES) {
    const fault = await attempt(preset, audience)
    if (fault !== undefined) problems.push(`${name}: the ${algorithm} exchange failed: ${fault}`)
  }
  const refusal = (await attempt('github-actions', 'https://unknown.example.com')) ?? 'no refusal'
  if (!refusal.includes('invalid_target')) problems.push(`${name}: an unknown audience gave: ${refusal}`)
  return problems
}

/** What is wrong with the answer (RFC 8693 §2.2.1). */
function faultOf({ issued_token_type, token_type, expires_in }: TokenAnswer): string | undefined {
  if (issued_token_type !== ACCESS_TOKEN_TYPE) return `issued_token_type is ${issued_token_type ?? 'missing'}`
  if (token_type.toLowerCase() !== 'bearer') return `token_type is ${token_type}`
  return expires_in === undefined ? 'expires_in is missing' : undefined
}

interface Way {
  readonly metadata: 'oauth2' | 'oidc'
  readonly presents: Presents
}

async function oauth4webapi(
  modules: string,
  { url }: Broker,
  { metadata, presents }: Way,
): Promise<Exchange> {
  const library = (await load(modules, 'oauth4webapi')) as Oauth4WebApi
  const options = { [library.allowInsecureRequests]: true }
  const issuer = new URL(url)
  const discovered = await library.discoveryRequest(issuer, { ...options, algorithm: metadata })
  const server = await library.processDiscoveryResponse(issuer, discovered)
  const authentication = authenticationOf(library, presents)
  return async (parameters) => {
    const request = [server, CLIENT, authentication, TOKEN_EXCHANGE, parameters, options] as const
    const answered = await library.genericTokenEndpointRequest(...request)
    return library.processGenericTokenEndpointResponse(server, CLIENT, answered)
  }
}

async function openIdClient(
  modules: string,
  { url }: Broker,
  { metadata, presents }: Way,
): Promise<Exchange> {
  const library = (await load(modules, 'openid-client')) as OpenIdClient
  const options = { execute: [library.allowInsecureRequests], algorithm: metadata }
  const authentication = authenticationOf(library, presents)
  const server = new URL(url)
  const configuration = await library.discovery(server, CLIENT.client_id, undefined, authentication, options)
  return (parameters) => library.genericGrantRequest(configuration, TOKEN_EXCHANGE, parameters)
}

/** Both libraries take a function that adds the client's credentials to the request: one that adds nothing is a way too. */
function authenticationOf(library: { None(): unknown }, presents: Presents): unknown {
  return presents === 'client_id' ? library.None() : () => undefined
}

function load(modules: string, name: string): Promise<unknown> {
  return import(pathToFileURL(join(modules, name, 'build', 'index.js')).href)
}

/** What the client says, and the OAuth error behind it. */
function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const oauth = 'error' in error ? String(error.error) : ''
  const description = 'error_description' in error ? String(error.error_description) : ''
  return [error.message, oauth, description].filter((text) => text !== '').join(': ')
}
