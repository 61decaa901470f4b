import type { ServerResponse } from 'node:http'
import { z } from 'zod'
import type { LocalCloud } from '../cloud.ts'
import type { InjectedFaults } from './faults.ts'
import type { Feed } from './feed.ts'
import { lineageOf } from './lineage.ts'
import type { Monitoring } from './monitoring.ts'
import type { Observations } from './observations.ts'
import type { Operator } from './operator.ts'
import { explainClaims, policyView } from './policy-view.ts'
import type { LoadedPolicy } from './presented.ts'
import { trailOf } from './trail.ts'
import { tryItOf } from './try-it.ts'
import type { CommandResult } from './wire.ts'

/** What the endpoints of the page know. */
export interface EndpointWorld {
  readonly cloud: LocalCloud
  readonly operator: Operator
  readonly policy: LoadedPolicy
  readonly warnings: readonly string[]
  readonly observations: Observations
  /** What the probe sends each minute would bury what somebody wants to see. */
  readonly feed: Feed
  readonly feedWithProbe: Feed
  readonly monitoring: Monitoring
  readonly faults: InjectedFaults
}

export interface Answer {
  readonly status: number
  readonly body: object
}

interface Asked {
  /** The end of the path, where the endpoint has one. */
  readonly id: string
  readonly response: ServerResponse
  /** What was posted. */
  readonly body?: unknown
}

export interface Endpoint {
  readonly method: 'GET' | 'POST'
  /** `undefined` if it has answered by itself. */
  answer(asked: Asked, world: EndpointWorld): Promise<Answer | undefined> | Answer | undefined
}

const NOT_FOUND: Answer = { status: 404, body: { error: 'not known, or no longer' } }
const MALFORMED: Answer = { status: 400, body: { error: 'the request makes no sense' } }

const REVOCATION = z.strictObject({ token: z.string().regex(/^[\w-]{22}$/) })
const FAULT = z.strictObject({ name: z.string(), injected: z.boolean() })
const ROTATION = z.strictObject({ confirmed: z.boolean() })

/** What the page may ask for, below `/console/api/`. */
export const ENDPOINTS: Readonly<Record<string, Endpoint>> = {
  feed: { method: 'GET', answer: ({ response }, { feed }) => openFeed(feed, response) },
  'feed-with-probe': {
    method: 'GET',
    answer: ({ response }, { feedWithProbe }) => openFeed(feedWithProbe, response),
  },
  'requests/{id}': {
    method: 'GET',
    answer: ({ id }, { cloud, policy, observations }) => {
      const observation = observations.get(id)
      const trail = observation && trailOf(id, observation, { policy, brokerIssuer: cloud.url })
      return trail === undefined ? NOT_FOUND : ok(trail)
    },
  },
  try: {
    method: 'GET',
    answer: (_, { cloud, policy }) => ok(tryItOf(policy.policy, cloud.demoIssuer, cloud.url)),
  },
  policy: { method: 'GET', answer: (_, { policy, warnings }) => ok(policyView(policy, warnings)) },
  explain: {
    method: 'POST',
    answer: ({ body }, { cloud, policy }) => {
      const explanation = explainClaims(body, policy, { brokerIssuer: cloud.url })
      return explanation === undefined ? MALFORMED : ok(explanation)
    },
  },
  keys: {
    method: 'GET',
    answer: async (_, { operator }) => commandAnswer(await operator.run(['keys', 'list'])),
  },
  rotation: {
    method: 'POST',
    answer: async ({ body }, { operator }) => {
      const read = ROTATION.safeParse(body)
      if (!read.success) return MALFORMED
      const rotate = ['keys', 'rotate', '--now', '--before-caches-expire']
      const args = read.data.confirmed ? [...rotate, '--yes'] : rotate
      return ok(await operator.run(args))
    },
  },
  reconcile: {
    method: 'POST',
    answer: async (_, { operator }) => ok(await operator.run(['keys', 'reconcile'])),
  },
  revocations: {
    method: 'POST',
    answer: async ({ body }, { operator }) => {
      const read = REVOCATION.safeParse(body)
      if (!read.success) return MALFORMED
      const args = ['revoke', 'token', read.data.token, '--reason', 'revoked in the console', '--yes']
      return ok(await operator.run(args))
    },
  },
  'lineage/{id}': {
    method: 'GET',
    answer: async ({ id }, { operator, observations }) => {
      const trees = await lineageOf(id, observations.lineageEvents(), operator)
      return trees.length === 0 ? NOT_FOUND : ok({ trees })
    },
  },
  monitoring: {
    method: 'GET',
    answer: (_, { monitoring, faults }) => {
      const view = monitoring.view(Date.now())
      return ok({ faults: faults.list(), ...(view !== undefined && { view }) })
    },
  },
  faults: {
    method: 'POST',
    answer: async ({ body }, { faults }) => {
      const read = FAULT.safeParse(body)
      const isKnown = read.success && (await faults.set(read.data.name, read.data.injected))
      return isKnown ? ok({ faults: faults.list() }) : MALFORMED
    },
  },
  permissions: { method: 'GET', answer: (_, { cloud }) => ok({ permissions: cloud.permissions() }) },
}

function openFeed(feed: Feed, response: ServerResponse): Answer | undefined {
  return feed.open(response) ? undefined : { status: 503, body: { error: 'too many consoles are open' } }
}

function ok(body: object): Answer {
  return { status: 200, body }
}

function commandAnswer({ done, error, result }: CommandResult): Answer {
  return done ? ok(result as object) : { status: 502, body: { error } }
}
