import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Refusal } from '../../functions/core/refusal.ts'
import { printedBy } from '../support/printed.ts'
import {
  AttackedBroker,
  type BrokerOptions,
  exchangeForm,
  type FormChanges,
  issuerUrl,
  NOW,
  POLICY,
} from './broker.ts'
import { type EventParts, tokenEvent } from './proxy-event.ts'

/** What is presented to the token endpoint. `form` changes the valid request; a `body` stands for itself. */
export interface Presented extends EventParts {
  readonly form?: FormChanges
  /** Besides tokens and credentials, which are found by the names of their parameters: what nobody may see again. */
  readonly secrets?: readonly string[]
  /** An event that is no form of this one at all. */
  readonly event?: unknown
}

/** How a request must be answered. */
export type Verdict =
  | {
      readonly kind: 'refused'
      readonly status: number
      readonly error: string
      readonly reason: Refusal['kind']
    }
  | { readonly kind: 'granted'; readonly check: (witness: Witness) => void }
  | { readonly kind: 'unavailable' }

export interface Attack {
  /** Begins with the id in the catalogue. */
  readonly title: string
  readonly broker?: BrokerOptions
  /** What comes before: other requests, revocations, other keys. */
  readonly before?: (broker: AttackedBroker) => unknown
  readonly present: (broker: AttackedBroker) => Presented | Promise<Presented>
  readonly verdict: Verdict
}

/** All that can be seen of one request. */
export interface Witness {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Readonly<Record<string, unknown>>
  /** All that the process printed: log lines and EMF. */
  readonly printed: string
  readonly refusals: readonly Readonly<Record<string, unknown>>[]
  readonly calls: readonly string[]
  /** Claims of the token that was released. */
  readonly claims: Readonly<Record<string, unknown>>
}

/** The answer to every subject token that is not acceptable, whatever the reason. */
export function refused(reason: Refusal['kind'], error = 'invalid_request', status = 400): Verdict {
  return { kind: 'refused', status, error, reason }
}

/** The request is in order: not everything that looks odd is an attack. */
export function granted(check: (witness: Witness) => void = () => undefined): Verdict {
  return { kind: 'granted', check }
}

/** Something that the broker needs cannot be had: 503, and nothing is released. */
export const unavailable: Verdict = { kind: 'unavailable' }

/** An attack by the subject token alone. */
export function byToken(
  title: string,
  token: (broker: AttackedBroker) => string | Promise<string>,
  verdict: Verdict,
  more: Partial<Attack> = {},
): Attack {
  return {
    title,
    present: async (broker) => ({ form: { subject_token: await token(broker) } }),
    verdict,
    ...more,
  }
}

/** An attack by the form alone, with a good subject token in it. */
export function byForm(
  title: string,
  form: FormChanges,
  verdict: Verdict,
  more: Partial<Attack> = {},
): Attack {
  return {
    title,
    present: (broker) => ({ form: { subject_token: broker.token(), ...form } }),
    verdict,
    ...more,
  }
}

/** Runs each attack against a broker of its own, and looks for all that must not have happened. */
export function describeAttacks(name: string, attacks: readonly Attack[]): void {
  describe(`${name}`, () => {
    freezeTime()
    const byTitle = attacks.map((attack) => [attack.title, attack] as const)
    it.each(byTitle)('%s', async (_title, { broker: options, before, present, verdict }) => {
      const broker = new AttackedBroker(options)
      await before?.(broker)
      const { status } = await expectVerdict(broker, await present(broker), verdict)
      expect(status).toBe(statusOf(verdict))
    })
  })
}

function statusOf(verdict: Verdict): number {
  if (verdict.kind === 'refused') return verdict.status
  return verdict.kind === 'granted' ? 200 : 503
}

/** Stops the clock that the function reads. Timers run. */
export function freezeTime(): void {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['Date'], now: NOW * 1000 })
  })
  afterEach(() => {
    vi.useRealTimers()
  })
}

/** Presents a request, and checks what the verdict says and what holds for every answer. */
export async function expectVerdict(
  broker: AttackedBroker,
  presented: Presented,
  verdict: Verdict,
): Promise<Witness> {
  const recordsBefore = broker.ledger.records.size
  const witness = await witnessOf(broker, presented)
  expectAnswerForm(witness)
  expectOnlyKnownIssuersAsked(witness)
  expectNothingLeaked(broker, presented, witness)
  if (verdict.kind === 'refused') expectRefusal(witness, verdict)
  if (verdict.kind === 'granted') {
    expect(witness.body, 'granted').toHaveProperty('access_token')
    expect(witness.refusals).toEqual([])
    expect(broker.ledger.records.size).toBe(recordsBefore + 1)
    verdict.check(witness)
  }
  if (verdict.kind === 'unavailable') {
    expect([witness.status, witness.body['error']]).toEqual([503, 'temporarily_unavailable'])
    expect(witness.headers['retry-after']).toMatch(/^[1-5]$/)
    expect(changesIn(witness)).toEqual([])
  }
  return witness
}

/** These are found out beside the signature, which is then thrown away. */
const FOUND_BESIDE_SIGNING: ReadonlySet<string> = new Set([
  'token_replayed',
  'token_revoked',
  'dpop_proof_replayed',
])

function expectRefusal(witness: Witness, { status, error, reason }: Verdict & { kind: 'refused' }): void {
  expect(
    [witness.status, witness.body['error'], ...witness.refusals.map((event) => event['reason'])],
    'status, error and the one reason in the audit trail',
  ).toEqual([status, error, reason])
  expect(Object.keys(witness.body).toSorted()).toEqual(['error', 'error_description'])
  if (!FOUND_BESIDE_SIGNING.has(reason)) expect(changesIn(witness)).toEqual([])
}

/** What a request that is refused before the signature check must not even have begun. */
function changesIn({ calls }: Witness): readonly string[] {
  return calls.filter((call) => !call.startsWith('fetch '))
}

/** RFC 6749 §5.2: the characters of `error_description`. */
const DESCRIPTION = /^[\x20-\x21\x23-\x5b\x5d-\x7e]{1,200}$/
const ANSWER_HEADERS = [
  'allow',
  'cache-control',
  'content-type',
  'dpop-nonce',
  'pragma',
  'retry-after',
  'www-authenticate',
  'x-correlation-id',
]

function expectAnswerForm({ headers, body, status }: Witness): void {
  expect(headers).toMatchObject({ 'content-type': 'application/json', 'cache-control': 'no-store' })
  expect(headers['x-correlation-id']).toMatch(/^[\w=-]{1,128}$/)
  expect(ANSWER_HEADERS).toEqual(expect.arrayContaining(Object.keys(headers)))
  if (status !== 200) expect(body['error_description']).toMatch(DESCRIPTION)
}

/** The only places that a token may make the broker ask, whatever it names. */
const ISSUER_DOCUMENTS = new Set(
  Object.keys(POLICY.issuers).flatMap((name) => [
    `fetch ${issuerUrl(name)}/.well-known/openid-configuration`,
    `fetch ${issuerUrl(name)}/jwks`,
  ]),
)

function expectOnlyKnownIssuersAsked({ calls }: Witness): void {
  const asked = calls.filter((call) => call.startsWith('fetch '))
  expect(asked.filter((call) => !ISSUER_DOCUMENTS.has(call))).toEqual([])
}

const SECRET_PARAMETERS = ['subject_token', 'actor_token', 'client_secret', 'client_assertion'] as const
const SECRET_HEADERS = ['authorization', 'dpop', 'idempotency-key'] as const
const RUN = 12

function expectNothingLeaked(broker: AttackedBroker, presented: Presented, witness: Witness): void {
  const { access_token: released, ...answer } = witness.body
  const records = JSON.stringify([...broker.ledger.records.values()])
  const places = { printed: witness.printed, records, answer: JSON.stringify([answer, witness.headers]) }
  const secrets = [...secretsIn(presented), ...(typeof released === 'string' ? [released] : [])]
  for (const [place, text] of Object.entries(places))
    expect(leakedRun(text, secrets), `a part of a secret in ${place}`).toBeUndefined()
}

function secretsIn({ form = {}, headers = {}, secrets = [] }: Presented): readonly string[] {
  const parameters = SECRET_PARAMETERS.flatMap((name) => form[name] ?? [])
  const sent = Object.entries(headers)
    .filter(([name]) => SECRET_HEADERS.some((secret) => secret === name.toLowerCase()))
    .flatMap(([, value]) => value)
  return [...parameters, ...sent, ...secrets]
}

/** Any run of 12 characters of a secret that `text` has too. */
export function leakedRun(text: string, secrets: readonly string[]): string | undefined {
  const runs = new Set<string>()
  for (let at = 0; at + RUN <= text.length; at++) runs.add(text.slice(at, at + RUN))
  for (const secret of secrets)
    for (let at = 0; at + RUN <= secret.length; at++) {
      const run = secret.slice(at, at + RUN)
      if (runs.has(run)) return run
    }
  return undefined
}

let requests = 0

/** Sends the request and gathers all that can be seen of it. */
export async function witnessOf(broker: AttackedBroker, presented: Presented): Promise<Witness> {
  broker.calls.length = 0
  const { form, event, ...parts } = presented
  const body = form === undefined ? {} : { body: exchangeForm(form) }
  const sent = event ?? tokenEvent({ ...body, ...parts }, `request-${++requests}`)
  const { result, printed } = await printedBy(() => broker.handler(sent, {}))
  return {
    status: result.statusCode,
    headers: result.headers,
    body: JSON.parse(result.body) as Record<string, unknown>,
    printed,
    refusals: refusalsIn(printed),
    calls: [...broker.calls],
    claims: claimsIn(JSON.parse(result.body)),
  }
}

/** The audit events of refusals among log lines. */
function refusalsIn(printed: string): readonly Readonly<Record<string, unknown>>[] {
  return printed
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { readonly audit?: Readonly<Record<string, unknown>> })
    .flatMap(({ audit }) => (audit?.['event'] === 'exchange_refused' ? [audit] : []))
}

function claimsIn(answer: { readonly access_token?: string }): Readonly<Record<string, unknown>> {
  const payload = answer.access_token?.split('.')[1] ?? Buffer.from('{}').toString('base64url')
  return JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as Record<string, unknown>
}
