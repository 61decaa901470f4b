import { z } from 'zod'
import { PRESET_NAMES } from './presets.ts'

/**
 * The form of one policy file. The `error` of each part is the text of "allowed" in findings. What a form alone cannot
 * say is checked by `compile.ts`.
 */

/** What the error of a closed map begins with, before its keys. */
export const KEYS_RULE = 'a map with the keys '

const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/
const NAME_RULE = 'a name of at most 63 characters a-z, 0-9, - and _, beginning with a letter or digit'
const DURATION = /^(?:0|[1-9][0-9]{0,5})[smh]$/

const name = z.string({ error: NAME_RULE }).regex(NAME, { error: NAME_RULE })
/** Names of entries elsewhere: which there are, `compile.ts` knows. */
const issuerId = string('the id of an issuer')
const clientId = string('the id of a client')
const targetId = string('the id of a target')
const duration = string('a duration such as 30s, 5m or 1h').regex(DURATION, {
  error: 'a duration such as 30s, 5m or 1h',
})
const uri = string('a URI')
const wholeNumber = z.int({ error: 'a whole number above 0' }).positive({ error: 'a whole number above 0' })

const defaults = closed({
  lifetime: duration.optional(),
  max_delegation_depth: z
    .int({ error: 'a whole number from 0 to 3' })
    .min(0, { error: 'a whole number from 0 to 3' })
    .max(3, { error: 'a whole number from 0 to 3' })
    .optional(),
})

/** RFC 7517 §4: members that are not known are ignored, so a published key set can be pasted as it is. */
const jwk = z.looseObject({ kty: string('a JWK key type') }, { error: 'a JSON Web Key' })
const jwks = closed({ keys: listOf(jwk, 'a list of JSON Web Keys') })

const KEY_SOURCE_RULE = 'discovery, {jwks_uri: …} or {jwks: {keys: […]}}'
const keys = z.union([z.literal('discovery'), closed({ jwks_uri: uri }), closed({ jwks })], {
  error: KEY_SOURCE_RULE,
})

const SUBJECT_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const

const issuer = closed({
  preset: oneOf(PRESET_NAMES).optional(),
  issuer: string('an issuer URL').optional(),
  keys: keys.optional(),
  algorithms: listOf(oneOf(SUBJECT_ALGORITHMS), 'a list of JWS algorithms').optional(),
  audiences: listOf(
    string('an audience'),
    'a list of at least one audience: the `aud` that says a token is for us',
  ),
  max_lifetime: duration.optional(),
  clock_skew: duration.optional(),
  replay: oneOf(['single-use', 'once-per-target', 'reusable']).optional(),
  client_authentication: oneOf(['none', 'required']).optional(),
  default_target: targetId.optional(),
})

/** RFC 4514. */
export const DN_RULE = 'a distinguished name, as `openssl x509 -noout -subject -nameopt RFC2253` prints it'
const secretDigest = string('hmac-sha256:SALT:DIGEST, as `token-broker clients secret` prints it')

const client = closed({
  authentication: closed({
    method: oneOf([
      'private_key_jwt',
      'tls_client_auth',
      'self_signed_tls_client_auth',
      'client_secret_basic',
    ]),
    jwks: jwks.optional(),
    jwks_uri: uri.optional(),
    algorithms: listOf(oneOf(SUBJECT_ALGORITHMS), 'a list of JWS algorithms').optional(),
    tls_client_auth_subject_dn: string(DN_RULE).optional(),
    tls_client_auth_san_dns: string('a host name').optional(),
    tls_client_auth_san_uri: string('a URI').optional(),
    tls_client_auth_san_ip: string('an IP address').optional(),
    tls_client_auth_san_email: string('an e-mail address').optional(),
    secret_digests: listOf(secretDigest, 'a list of one or two digests of secrets').optional(),
  }),
  introspects: z.array(targetId, { error: 'a list of target ids' }).optional(),
  revokes: z.array(targetId, { error: 'a list of target ids' }).optional(),
  default_target: targetId.optional(),
})

const TEMPLATE_RULE = 'a text with {claim} or {/pointer/to/claim} in it'
const template = string(TEMPLATE_RULE)
const scopes = z.array(string('a scope'), { error: 'a list of scopes' })

const texts = z.union([string('a text'), listOf(string('a text'), 'a list of texts')], {
  error: 'a text or a list of texts',
})

/** An IAM policy document, without the elements that only policies of resources and trust have. */
const sessionPolicy = closed({
  Version: z.literal('2012-10-17', { error: '2012-10-17' }),
  Statement: listOf(
    closed({
      Sid: string('a statement id').optional(),
      Effect: oneOf(['Allow', 'Deny']),
      Action: texts.optional(),
      NotAction: texts.optional(),
      Resource: texts.optional(),
      NotResource: texts.optional(),
      Condition: mapOf(string('an operator'), mapOf(string('a condition key'), texts)).optional(),
    }),
    'a list of statements',
  ),
})

const target = closed({
  audience: string('an audience').optional(),
  resources: z.array(uri, { error: 'a list of absolute URIs' }).optional(),
  scopes: scopes.optional(),
  token: closed({
    format: oneOf(['jwt', 'reference']).optional(),
    algorithm: oneOf(['RS256', 'ES256']).optional(),
    signing: oneOf(['kms', 'delegated']).optional(),
    max_lifetime: duration.optional(),
    binding: oneOf(['none', 'dpop', 'mtls']).optional(),
    dpop_nonce: z.boolean({ error: 'true or false' }).optional(),
    status_list: z.boolean({ error: 'true or false' }).optional(),
  }).optional(),
  aws_role: string('the ARN of a role').optional(),
  assume: oneOf(['web-identity', 'role']).optional(),
  duration: duration.optional(),
  session_name: template.optional(),
  session_tags: mapOf(z.string(), z.string({ error: TEMPLATE_RULE })).optional(),
  transitive_tags: listOf(string('a key of session_tags'), 'a list of keys of session_tags').optional(),
  source_identity: template.optional(),
  session_policy: sessionPolicy.optional(),
  external_id: string('an external id').optional(),
  outlive: oneOf(['refuse', 'deadline']).optional(),
})

const SCALAR_RULE = 'a text, a number, true or false'
const scalar = z.union([z.string(), z.number(), z.boolean()], { error: SCALAR_RULE })

/** Conditions in the shape of the token's JSON. */
export interface WhenSource {
  readonly [claim: string]: ConditionSource
}
export type ConditionScalar = string | number | boolean
export type ConditionSource = ConditionScalar | readonly ConditionScalar[] | WhenSource

const WHEN_RULE = 'a map of at least one condition: without any, every token of the issuer would be trusted'
const condition: z.ZodType<ConditionSource> = z.lazy(() =>
  z.union(
    [scalar, listOf(scalar, `a list with at least one of: ${SCALAR_RULE}`), mapOf(z.string(), condition)],
    {
      error: `${SCALAR_RULE}, a list of at least one of these, or a map of nested claims`,
    },
  ),
)
const when: z.ZodType<WhenSource> = z.record(z.string(), condition, { error: WHEN_RULE })

const grant = closed({
  issuer: issuerId,
  when,
  client: clientId.optional(),
  target: targetId,
  scopes: scopes.optional(),
  default_scopes: scopes.optional(),
  lifetime: duration.optional(),
  claims: mapOf(string('a claim name'), template).optional(),
  rate: closed({ limit: wholeNumber, per: duration, by: oneOf(['subject', 'client', 'grant']) }).optional(),
  delegation: closed({
    actors: listOf(closed({ issuer: issuerId, when }), 'a list of {issuer: …, when: …}'),
  }).optional(),
})

/** One policy file. All files of a folder are merged. */
export const policySchema = closed({
  defaults: defaults.optional(),
  issuers: entriesOf(issuer).optional(),
  clients: entriesOf(client).optional(),
  targets: entriesOf(target).optional(),
  grants: entriesOf(grant).optional(),
})

export type PolicySource = z.output<typeof policySchema>
export type DefaultsSource = z.output<typeof defaults>
export type IssuerSource = z.output<typeof issuer>
export type ClientSource = z.output<typeof client>
export type TargetSource = z.output<typeof target>
export type SessionPolicySource = z.output<typeof sessionPolicy>
export type GrantSource = z.output<typeof grant>
export type JwkSource = z.output<typeof jwk>

function string(allowed: string): z.ZodString {
  return z.string({ error: allowed }).min(1, { error: allowed })
}

function oneOf<const Value extends string>(values: readonly Value[]) {
  return z.enum(values, { error: values.join(', ') })
}

function listOf<Item extends z.ZodType>(item: Item, allowed: string) {
  return z.array(item, { error: allowed }).min(1, { error: allowed })
}

function entriesOf<Entry extends z.ZodType>(entry: Entry) {
  return z.record(name, entry, { error: 'a map whose keys are ids' })
}

function mapOf<Key extends z.ZodString, Value extends z.ZodType>(key: Key, value: Value) {
  return z.record(key, value, { error: 'a map' })
}

function closed<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.strictObject(shape, { error: `${KEYS_RULE}${Object.keys(shape).join(', ')}` })
}
