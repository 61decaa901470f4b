import type { PresentedCredentials } from './client-authentication.ts'
import { LIMITS } from './limits.ts'
import { gatherParameters, type Parameters } from './parameters.ts'
import type { PresentedKeys } from './possession.ts'
import { type Refused, refuse } from './refusal.ts'
import { isResourceUri } from './resource-uri.ts'
import type { Brand } from './types.ts'

export const TOKEN_EXCHANGE_GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange'

/** Of the token endpoint, below the issuer. */
export const TOKEN_PATH = '/token'

/** Of temporary AWS credentials: RFC 8693 §3 has no type for them. */
export const AWS_CREDENTIALS_TYPE = 'urn:token-broker:token-type:aws-credentials'
const TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:'
const SUBJECT_TOKEN_TYPES = ['jwt', 'access_token', 'id_token'] as const
const REQUESTED_TOKEN_TYPES = ['access_token', 'jwt', 'aws_credentials'] as const

export type SubjectTokenType = (typeof SUBJECT_TOKEN_TYPES)[number]
/** A token as it is presented, and what its sender says that it is. */
export interface TypedToken {
  readonly token: string
  readonly type: SubjectTokenType
}
export type RequestedTokenType = (typeof REQUESTED_TOKEN_TYPES)[number]

/** The token type URI (RFC 8693 §3) of a short name. */
export function tokenTypeUri(type: SubjectTokenType | RequestedTokenType): string {
  return type === 'aws_credentials' ? AWS_CREDENTIALS_TYPE : TOKEN_TYPE + type
}

/**
 * The decoded form and the headers that bear on a token request, headers by every value that was sent; the keys are read by
 * `client-authentication.ts` and `possession.ts`.
 */
export interface TokenRequestInput extends PresentedCredentials, PresentedKeys {
  readonly idempotencyKey: readonly string[]
  /** The id of a target, where the path has one. */
  readonly targetId?: string | undefined
}

/** A well-formed token exchange request (RFC 8693 §2.1). Only {@link readTokenRequest} makes one. */
export type TokenRequest = Brand<
  {
    readonly subject: TypedToken
    /** Who is to act for the subject (RFC 8693 §1.1); `undefined` where nobody is. */
    readonly actor: TypedToken | undefined
    readonly requestedTokenType: RequestedTokenType
    readonly targetId: string | undefined
    readonly audiences: readonly string[]
    readonly resources: readonly string[]
    /** `undefined` when left out: the grant's default scopes. */
    readonly scopes: readonly string[] | undefined
    readonly idempotencyKey: string | undefined
  },
  'TokenRequest'
>

const REPEATABLE: ReadonlySet<string> = new Set(['audience', 'resource'])
const IDEMPOTENCY_KEY = /^[\x21-\x7e]{16,64}$/
/** `scope-token` of RFC 6749 §3.3, separated by single spaces. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/

/** Reads a token exchange request. Unknown parameters are ignored (RFC 6749 §3.2); those we know but do not serve are refused. */
export function readTokenRequest(input: TokenRequestInput): TokenRequest | Refused {
  const form = gatherParameters(input.parameters, REPEATABLE)
  if ('refused' in form) return form
  const grantType = form.one('grant_type')
  if (grantType === undefined) return refuse({ kind: 'parameter_missing', parameter: 'grant_type' })
  if (grantType !== TOKEN_EXCHANGE_GRANT) return refuse({ kind: 'grant_type_not_supported' })
  return tokenRequestOf(input, form)
}

function tokenRequestOf(input: TokenRequestInput, form: Parameters): TokenRequest | Refused {
  const subject = readSubject(form)
  if ('refused' in subject) return subject
  const actor = readActor(form)
  if (actor !== undefined && 'refused' in actor) return actor
  const requestedUri = form.one('requested_token_type') ?? tokenTypeUri('access_token')
  const requestedTokenType = REQUESTED_TOKEN_TYPES.find((type) => tokenTypeUri(type) === requestedUri)
  if (requestedTokenType === undefined) return refuse({ kind: 'requested_token_type_not_supported' })
  const audiences = form.all('audience')
  const resources = form.all('resource')
  if (audiences.length + resources.length > LIMITS.targetNames) return refuse({ kind: 'too_many_targets' })
  if (!resources.every(isResourceUri)) return refuse({ kind: 'resource_malformed' })
  const scopes = readScopes(form.one('scope'))
  if (scopes === 'malformed') return refuse({ kind: 'scope_malformed' })
  const [idempotencyKey, ...furtherKeys] = input.idempotencyKey
  if (furtherKeys.length > 0 || (idempotencyKey !== undefined && !IDEMPOTENCY_KEY.test(idempotencyKey)))
    return refuse({ kind: 'idempotency_key_malformed' })
  return {
    subject,
    actor,
    requestedTokenType,
    targetId: input.targetId,
    audiences,
    resources,
    scopes,
    idempotencyKey,
  } as TokenRequest
}

function readSubject(form: Parameters): TypedToken | Refused {
  const token = form.one('subject_token')
  if (token === undefined) return refuse({ kind: 'parameter_missing', parameter: 'subject_token' })
  const uri = form.one('subject_token_type')
  if (uri === undefined) return refuse({ kind: 'parameter_missing', parameter: 'subject_token_type' })
  const type = typeOf(uri)
  return type === undefined ? refuse({ kind: 'subject_token_type_not_supported' }) : { token, type }
}

/** Both or neither (RFC 8693 §2.1): a half must not make an exchange without an actor. */
function readActor(form: Parameters): TypedToken | Refused | undefined {
  const token = form.one('actor_token')
  const uri = form.one('actor_token_type')
  if (token === undefined && uri === undefined) return undefined
  if (token === undefined || uri === undefined) return refuse({ kind: 'actor_token_incomplete' })
  const type = typeOf(uri)
  return type === undefined ? refuse({ kind: 'actor_token_type_not_supported' }) : { token, type }
}

function typeOf(uri: string): SubjectTokenType | undefined {
  return SUBJECT_TOKEN_TYPES.find((type) => tokenTypeUri(type) === uri)
}

function readScopes(scope: string | undefined): readonly string[] | undefined | 'malformed' {
  if (scope === undefined) return undefined
  if (!SCOPE.test(scope)) return 'malformed'
  const scopes = [...new Set(scope.split(' '))]
  return scopes.length > LIMITS.scopes ? 'malformed' : scopes
}
