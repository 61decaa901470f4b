import { type BasicCredentials, readBasicCredentials } from './basic-credentials.ts'
import { JWT_BEARER_ASSERTION, verifyClientAssertion } from './client-assertion.ts'
import { certificateMethodOf, refuseCertificate } from './client-certificate-authentication.ts'
import { verifyClientSecret } from './client-secret.ts'
import { gatherParameters, type ParameterPairs, type Parameters } from './parameters.ts'
import type { Client } from './policy/compiled.ts'
import type { PolicyIndex } from './policy/decide.ts'
import type { ClientKeys, SpentCredential } from './ports.ts'
import type { CertificateFailure, PresentedCertificate } from './possession.ts'
import { type Refused, refuse } from './refusal.ts'
import type { Brand } from './types.ts'

/** A client that proved who it is. Only {@link authenticateClient} makes one. */
export type AuthenticatedClient = Brand<
  {
    readonly client: Client
    /** What it proved it with, where that may be used only once: to be claimed before anything is released. */
    readonly assertion?: SpentCredential
  },
  'AuthenticatedClient'
>

/** Why a client was not believed. On the wire all of these are one. */
export type ClientAuthenticationFailure =
  | 'authentication_missing'
  | 'scheme_not_supported'
  | 'header_malformed'
  | 'secret_in_body'
  | 'client_or_secret_wrong'
  | 'client_id_mismatch'
  | 'client_unknown'
  | 'method_not_registered'
  | 'assertion_incomplete'
  | 'assertion_type_not_supported'
  | 'assertion_malformed'
  | 'assertion_algorithm_not_allowed'
  | 'assertion_key_unknown'
  | 'assertion_signature_invalid'
  | 'assertion_type_mismatch'
  | 'assertion_audience_not_ours'
  | 'assertion_claim_malformed'
  | 'assertion_expired'
  | 'assertion_not_yet_valid'
  | 'assertion_lives_too_long'
  | 'assertion_replayed'
  | CertificateFailure
  | 'certificate_of_another_name'
  | 'certificate_not_registered'

/** What client authentication needs of the world. */
export interface ClientAuthenticationWorld {
  /** The broker's own issuer URL. */
  readonly issuer: string
  readonly policy: Pick<PolicyIndex, 'clients'>
  /** Clients' keys: apart from the issuers', so that neither can be taken for the other. */
  readonly clientKeys: ClientKeys
  /** 128 random bits, base64url. */
  readonly randomId: () => string
}

/** The decoded form, every value of the `Authorization` header, and who holds the connection. */
export interface PresentedCredentials {
  readonly parameters: ParameterPairs
  readonly authorization: readonly string[]
  readonly certificate?: PresentedCertificate
}

/**
 * Authenticates the client by what the request presents (RFC 6749 §2.3): `undefined` where that is nothing, since a lone
 * `client_id` proves nothing, and neither does a certificate that no client is named with. What counts is the method that was verified, and only the one that policy registers for the
 * client. An assertion is verified but not yet claimed: whoever releases something must claim it at the same time.
 * `now` in epoch seconds. Throws {@link DependencyUnavailable} if the client's keys cannot be read.
 */
export async function authenticateClient(
  presented: PresentedCredentials,
  world: ClientAuthenticationWorld,
  now: number,
): Promise<AuthenticatedClient | Refused | undefined> {
  const form = gatherParameters(presented.parameters, REPEATABLE)
  if ('refused' in form) return form
  const usedHeader = presented.authorization.length > 0
  const usedAssertion = ASSERTION_PARAMETERS.some((name) => form.one(name) !== undefined)
  const usedSecret = form.one('client_secret') !== undefined
  const methods = [usedHeader, usedAssertion, usedSecret].filter(Boolean).length
  if (methods === 0) return byCertificate(presented.certificate, form, world, now)
  if (methods > 1) return refuse({ kind: 'client_authenticated_twice' })
  if (usedHeader) return byHeader(presented.authorization, form, world)
  if (usedAssertion) return byAssertion(form, world, now)
  return refuseClient('secret_in_body')
}

/** Refuses a request because its client is not authenticated. */
export function refuseClient(
  failure: ClientAuthenticationFailure,
  about: { readonly usedHeader?: boolean; readonly client?: Client | undefined } = {},
): Refused {
  const { usedHeader = false, client } = about
  return refuse({
    kind: 'client_authentication_failed',
    usedHeader,
    failure,
    ...(client !== undefined && { claimed_client: client.id }),
  })
}

const ASSERTION_PARAMETERS = ['client_assertion', 'client_assertion_type'] as const
/** Of a token request. Whatever else is repeated, a credential among it, is refused here too. */
const REPEATABLE: ReadonlySet<string> = new Set(['audience', 'resource'])

function byHeader(
  authorization: readonly string[],
  form: Parameters,
  { policy }: ClientAuthenticationWorld,
): AuthenticatedClient | Refused {
  const credentials = readBasicCredentials(authorization)
  if (typeof credentials === 'string') return refuseClient(credentials, { usedHeader: true })
  const client = policy.clients.get(credentials.id)
  const about = { usedHeader: true, client }
  if (!isItsSecret(client, credentials) || client === undefined)
    return refuseClient('client_or_secret_wrong', about)
  if (namesAnother(form, client)) return refuseClient('client_id_mismatch', about)
  return { client } as AuthenticatedClient
}

/** The same work for a client that does not exist, or has no secret: nobody learns which ids are registered. */
function isItsSecret(client: Client | undefined, { secret }: BasicCredentials): boolean {
  const digests = client?.authentication.method === 'client_secret_basic' ? client.authentication.digests : []
  return verifyClientSecret(secret, digests)
}

async function byAssertion(
  form: Parameters,
  world: ClientAuthenticationWorld,
  now: number,
): Promise<AuthenticatedClient | Refused> {
  const compact = form.one('client_assertion')
  const type = form.one('client_assertion_type')
  if (compact === undefined || type === undefined) return refuseClient('assertion_incomplete')
  if (type !== JWT_BEARER_ASSERTION) return refuseClient('assertion_type_not_supported')
  const { issuer, policy, clientKeys, randomId } = world
  const context = { issuer, clientKeys, now, attempt: randomId() }
  const verified = await verifyClientAssertion(compact, policy.clients, context)
  const { client } = verified
  if ('failure' in verified) return refuseClient(verified.failure, { client })
  if (namesAnother(form, verified.client)) return refuseClient('client_id_mismatch', { client })
  return { client, assertion: verified.assertion } as AuthenticatedClient
}

/**
 * RFC 8705 §2: it is the `client_id` that says whose certificate it should be. Where clients need one to connect at all, a
 * certificate alone does not mean that somebody wants to be known by it.
 */
async function byCertificate(
  certificate: PresentedCertificate,
  form: Parameters,
  { policy, clientKeys }: ClientAuthenticationWorld,
  now: number,
): Promise<AuthenticatedClient | Refused | undefined> {
  const client = policy.clients.get(form.one('client_id') ?? '')
  const method = client && certificateMethodOf(client)
  if (client === undefined || method === undefined) return undefined
  const failure = await refuseCertificate(client, method, certificate, { clientKeys, now })
  return failure === undefined ? ({ client } as AuthenticatedClient) : refuseClient(failure, { client })
}

function namesAnother(form: Parameters, client: Client): boolean {
  const named = form.one('client_id')
  return named !== undefined && named !== client.id
}
