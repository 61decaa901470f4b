import { inContainerWords, serveCredentials } from '../../functions/aws-credentials/serve-credentials.ts'
import type { ExchangeDependencies } from '../../functions/core/exchange.ts'
import { indexPolicy } from '../../functions/core/policy/decide.ts'
import { serveToken } from '../../functions/exchange/serve-token.ts'
import type { HttpAnswer } from '../../functions/http/answer.ts'
import { httpHandler, type Serve } from '../../functions/http/rim.ts'
import { serveIntrospection } from '../../functions/introspect/serve-introspection.ts'
import { serveOperatorRevocation, serveRevocation } from '../../functions/revoke/serve-revocation.ts'
import { BROKER_ISSUER, type TestBroker, testPolicy } from './broker.ts'

/** A request as a test writes it. */
export interface Sent {
  readonly form?: Readonly<Record<string, string>>
  /** Takes the place of the form. */
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly method?: string
  /** Parts of the proxy event, in place of what the request would make of them. */
  readonly event?: Readonly<Record<string, unknown>>
}

/** The answer, with its body as JSON where it is JSON. */
export interface Answered extends HttpAnswer {
  readonly json: Record<string, unknown>
}

/** What an endpoint said about its work. */
export interface Said {
  readonly measured: Record<string, unknown>[]
  /** Audit events, as the log has them. */
  readonly audit: Record<string, unknown>[]
  readonly failed: unknown[]
}

/** The endpoints of a broker behind the rim that they have in Lambda; they share its stores. */
export interface TestEndpoints {
  readonly said: Said
  token(sent: Sent): Promise<Answered>
  /** `GET /aws/credentials/{target}`. */
  awsCredentials(target: string, sent: Sent): Promise<Answered>
  introspect(sent: Sent): Promise<Answered>
  revoke(sent: Sent): Promise<Answered>
  /** Signed by an operator, unless the event says otherwise. */
  revokeByOperator(body: object | string, sent?: Sent): Promise<Answered>
}

export const OPERATOR_ARN = 'arn:aws:sts::111111111111:assumed-role/security/alice'

/** Everything that any of the endpoints needs. */
export function worldOf(broker: TestBroker) {
  let ids = 0
  return {
    issuer: BROKER_ISSUER,
    policy: indexPolicy(testPolicy()),
    issuerKeys: broker.issuerKeys,
    clientKeys: broker.clientKeys,
    oneTime: broker.oneTime,
    ledger: broker.ledger,
    permits: broker.permits,
    revocations: broker.revocations,
    register: broker.revocations,
    references: broker.references,
    statuses: broker.statuses,
    statusIndices: broker.statusIndices,
    signer: broker.keys,
    randomId: () => `endpoint-${++ids}`.padEnd(22, 'x'),
    randomSecret: () => `secret-${++ids}-`.padEnd(43, 'A'),
  }
}

type EndpointWorld = ReturnType<typeof worldOf> & Pick<ExchangeDependencies, 'credentials'>

export function createEndpoints(broker: TestBroker, world: EndpointWorld = worldOf(broker)): TestEndpoints {
  const said: Said = { measured: [], audit: [], failed: [] }
  const log = {
    measure: (request: object) => void said.measured.push({ ...request }),
    refused: (event: object) => void said.audit.push({ ...event }),
    repeated: (event: object) => void said.audit.push({ ...event }),
    recorded: (event: object) => void said.audit.push({ ...event }),
    failed: (fault: unknown) => void said.failed.push(fault),
  }
  const answered = (answer: HttpAnswer): Answered => ({ ...answer, json: jsonIn(answer) })
  const at = (path: string, serve: Serve) => {
    const handler = httpHandler(serve, log)
    return async (sent: Sent): Promise<Answered> => answered(await handler(eventOf(path, sent), {}))
  }
  const credentials = httpHandler(serveCredentials(world, log), log)
  const admin = at('/admin/revocations', serveOperatorRevocation(world, log))
  return {
    said,
    token: at('/token', serveToken(world, log)),
    awsCredentials: async (target, sent) => {
      const event = eventOf(`/aws/credentials/${target}`, { method: 'GET', body: '', ...sent })
      return answered(inContainerWords(await credentials(event, {})))
    },
    introspect: at('/introspect', serveIntrospection(world, log)),
    revoke: at('/revoke', serveRevocation(world, log)),
    revokeByOperator: (body, sent = {}) =>
      admin({
        body: typeof body === 'string' ? body : JSON.stringify(body),
        headers: { 'content-type': 'application/json' },
        event: { requestContext: { requestId: 'request-1', identity: { userArn: OPERATOR_ARN } } },
        ...sent,
      }),
  }
}

function eventOf(path: string, { form = {}, body, headers = {}, method = 'POST', event = {} }: Sent): object {
  const all = { 'content-type': 'application/x-www-form-urlencoded', ...headers }
  return {
    version: '1.0',
    httpMethod: method,
    path,
    multiValueHeaders: Object.fromEntries(Object.entries(all).map(([name, value]) => [name, [value]])),
    requestContext: { requestId: 'request-1', identity: { userArn: null } },
    body: body ?? new URLSearchParams(form).toString(),
    ...event,
  }
}

function jsonIn({ headers, body }: HttpAnswer): Record<string, unknown> {
  const isJson = body !== '' && headers['content-type'] === 'application/json'
  return isJson ? (JSON.parse(body) as Record<string, unknown>) : {}
}
