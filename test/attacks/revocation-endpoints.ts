import { randomBytes } from 'node:crypto'
import { makeClientSecret } from '../../functions/core/client-secret.ts'
import type { HttpAnswer } from '../../functions/http/answer.ts'
import { httpHandler, type Serve } from '../../functions/http/rim.ts'
import { serveIntrospection } from '../../functions/introspect/serve-introspection.ts'
import { serveOperatorRevocation, serveRevocation } from '../../functions/revoke/serve-revocation.ts'
import { createTelemetry, type Endpoint } from '../../functions/telemetry.ts'
import { basic } from '../support/clients.ts'
import { COUNTING } from '../support/emf.ts'
import { printedBy } from '../support/printed.ts'
import { leakedRun } from './attack.ts'
import { AttackedBroker, grant, POLICY, RECEIPTS } from './broker.ts'
import { type EventParts, tokenEvent } from './proxy-event.ts'

const SECRETS = { payments: makeClientSecret(randomBytes), ledger: makeClientSecret(randomBytes) }

const client = (digest: string, targets: readonly string[]) => ({
  authentication: { method: 'client_secret_basic', secret_digests: [digest] },
  introspects: targets,
  revokes: targets,
})

/** Two resource servers. The first sees and revokes what is for it and whatever that is exchanged onward for. */
const WITH_CLIENTS = {
  ...POLICY,
  clients: {
    'payments-server': client(SECRETS.payments.digest, ['payments', 'receipts', 'ledger']),
    'ledger-server': client(SECRETS.ledger.digest, ['ledger']),
  },
  grants: { ...POLICY.grants, further: grant('broker', 'ledger', { aud: RECEIPTS }) },
}

/** `Authorization` of each resource server. */
export const CREDENTIALS = {
  payments: basic('payments-server', SECRETS.payments.secret),
  ledger: basic('ledger-server', SECRETS.ledger.secret),
}

/** All that can be seen of one request to introspect or revoke. */
export interface Seen {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** `<event>: <reason>` of each audit event. */
  readonly audit: readonly string[]
  /** Calls of the ports. */
  readonly calls: readonly string[]
}

/** The functions beside the exchange, over the same stores. */
export class RevocationEndpoints {
  readonly broker: AttackedBroker
  readonly #handlers: Readonly<Record<EndpointName, Handler>>

  constructor(broker = new AttackedBroker({ policy: WITH_CLIENTS })) {
    this.broker = broker
    const { revocations } = broker
    const register = {
      revoke: (all: Parameters<typeof revocations.revoke>[0]) => {
        broker.calls.push('revoke')
        return revocations.revoke(all)
      },
    }
    const world = { ...broker.world, register }
    this.#handlers = {
      introspect: handlerOf('introspect', (log) => serveIntrospection(broker.world, log)),
      revoke: handlerOf('revoke', (log) => serveRevocation(world, log)),
      admin: handlerOf('admin', (log) => serveOperatorRevocation(world, log)),
    }
  }

  /** Presents a token, as the payments server unless `headers` say otherwise. */
  introspect(token: string, more: Presented = {}): Promise<Seen> {
    return this.#ask('introspect', token, more)
  }

  revoke(token: string, more: Presented = {}): Promise<Seen> {
    return this.#ask('revoke', token, more)
  }

  /** An operator's revocation. */
  async admin(body: object): Promise<Seen> {
    const event = tokenEvent(
      { path: '/admin/revocations', headers: JSON_TYPE, body: JSON.stringify({ reason: 'leaked', ...body }) },
      'request-1',
    )
    const context = event['requestContext'] as object
    const identity = { userArn: 'arn:aws:iam::111111111111:user/alice' }
    return this.#seen('admin', { ...event, requestContext: { ...context, identity } }, [])
  }

  #ask(endpoint: 'introspect' | 'revoke', token: string, more: Presented): Promise<Seen> {
    const { form = {}, ...parts } = more
    const headers = { authorization: CREDENTIALS.payments, ...more.headers }
    const body = new URLSearchParams({ token, ...form }).toString()
    const event = tokenEvent({ path: `/${endpoint}`, body, ...parts, headers: present(headers) }, 'request-1')
    return this.#seen(endpoint, event, [token, ...Object.values(CREDENTIALS)])
  }

  /** Whatever it is: no part of what was presented may be in what is printed, written or answered. */
  async #seen(endpoint: EndpointName, event: object, secrets: readonly string[]): Promise<Seen> {
    const { broker } = this
    broker.calls.length = 0
    const { result, printed } = await printedBy(() => this.#handlers[endpoint](event, {}))
    const written = JSON.stringify([...broker.revocations.written.values()])
    // A signed answer begins like every JWS.
    const answer = result.headers['content-type'] === 'application/json' ? JSON.stringify(result) : ''
    for (const text of [printed, written, answer]) {
      const leaked = leakedRun(
        text,
        secrets.filter((secret) => secret.length > 20),
      )
      if (leaked !== undefined) throw new Error(`leaked ${leaked}`)
    }
    return {
      status: result.statusCode,
      headers: result.headers,
      body: result.body,
      audit: auditIn(printed),
      calls: [...broker.calls],
    }
  }
}

type EndpointName = 'introspect' | 'revoke' | 'admin'
type Handler = (event: unknown, context: object) => Promise<HttpAnswer>
type Presented = EventParts & { readonly form?: Readonly<Record<string, string>> }
const JSON_TYPE = { 'Content-Type': 'application/json' }

function handlerOf(endpoint: Endpoint, serve: (log: ReturnType<typeof createTelemetry>) => Serve): Handler {
  const telemetry = createTelemetry(endpoint, COUNTING)
  return httpHandler(serve(telemetry), telemetry)
}

/** Headers without those that the request leaves out. */
function present(headers: NonNullable<EventParts['headers']>): NonNullable<EventParts['headers']> {
  return Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== ''))
}

function auditIn(printed: string): readonly string[] {
  return printed
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { readonly audit?: Readonly<Record<string, unknown>> })
    .flatMap(({ audit }) =>
      audit === undefined ? [] : [`${String(audit['event'])}: ${String(audit['reason'])}`],
    )
}
