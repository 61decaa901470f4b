import {
  type AuthenticatedClient,
  authenticateClient,
  type ClientAuthenticationWorld,
  type PresentedCredentials,
  refuseClient,
} from './client-authentication.ts'
import { claimOnce } from './one-time.ts'
import type { OwnToken } from './own-token.ts'
import { gatherParameters, type ParameterPairs } from './parameters.ts'
import type { PolicyIndex } from './policy/decide.ts'
import type { OneTimeLedger } from './ports.ts'
import { type Refused, refuse } from './refusal.ts'
import type { TargetId } from './types.ts'

/** The client that the request is from: one that presents nothing is refused like one that presents the wrong thing. */
export async function requireClient(
  presented: PresentedCredentials,
  world: ClientAuthenticationWorld,
  now: number,
): Promise<AuthenticatedClient | Refused> {
  const client = await authenticateClient(presented, world, now)
  return client ?? refuseClient('authentication_missing')
}

/** The token that the client asks about. `token_type_hint` is not even read: there is nothing that it could speed up. */
export function presentedToken(parameters: ParameterPairs): string | Refused {
  const form = gatherParameters(parameters)
  if ('refused' in form) return form
  return form.one('token') ?? refuse({ kind: 'parameter_missing', parameter: 'token' })
}

/** Claims what the client authenticated with, if that may be used only once: a refusal if it was used before. */
export async function claimAssertion(
  { client, assertion }: AuthenticatedClient,
  ledger: OneTimeLedger,
): Promise<Refused | undefined> {
  return claimOnce(assertion === undefined ? [] : [assertion], ledger, client)
}

/** Whether the token is for one of these targets, as policy knows them today. */
export function isForOneOf(targets: readonly TargetId[], token: OwnToken, policy: PolicyIndex): boolean {
  const target = policy.targetsByAudience.get(token.audience)
  return target !== undefined && targets.includes(target.id)
}
