import { z } from 'zod'
import { explainExchange } from '../../../functions/core/explain.ts'
import type { ClientId, JsonObject } from '../../../functions/core/types.ts'
import { explanationAsJson } from '../../cli/policy-explain.ts'
import type { LoadedPolicy } from './presented.ts'

/** The policy as it was loaded, without what authenticates clients, and what `policy lint` says about it. */
export function policyView({ policy }: LoadedPolicy, warnings: readonly string[]): object {
  const { digest, issuers, targets, grants, clients } = policy
  return {
    digest,
    issuers,
    targets,
    grants,
    clients: clients.map(({ authentication, ...client }) => ({ ...client, method: authentication.method })),
    warnings,
  }
}

const QUESTION = z.strictObject({
  claims: z.record(z.string(), z.unknown()),
  actor: z.record(z.string(), z.unknown()).optional(),
  audience: z.string().optional(),
  scope: z.string().optional(),
  client: z.string().optional(),
})

/** What `policy explain` says to pasted claims; `undefined` if the question makes no sense. */
export function explainClaims(
  body: unknown,
  { index }: LoadedPolicy,
  { brokerIssuer }: { readonly brokerIssuer: string },
): object | undefined {
  const read = QUESTION.safeParse(body)
  if (!read.success) return undefined
  const { audience, scope, client } = read.data
  const claims = read.data.claims as JsonObject
  const actor = read.data.actor as JsonObject | undefined
  const question = {
    claims,
    actor,
    clientId: client as ClientId | undefined,
    audiences: audience === undefined ? [] : [audience],
    resources: [],
    scopes: scope?.split(' '),
  }
  const at = { now: Math.floor(Date.now() / 1000), brokerIssuer }
  const explanation = explainExchange(index, question, at)
  return explanationAsJson({ explanation, claims, actor, policy: index })
}
