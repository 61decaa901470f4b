import type {
  ClientId,
  GrantId,
  IssuerId,
  JsonScalar,
  PublicJwk,
  ReplayMode,
  SigningAlgorithm,
  SigningMode,
  SubjectAlgorithm,
  TargetId,
  TokenBinding,
  TokenFormat,
} from '../types.ts'
import type { PresetName } from './presets.ts'

/** The reserved issuer id of the broker's own tokens. */
export const BROKER = 'broker' as IssuerId

/** Stands before a target's id, with a colon, in the `sub` of web identity tokens. No issuer has this id. */
export const TARGET_SUBJECT = 'target'

/** The only audience of web identity tokens, and of no other token of ours. */
export const STS_AUDIENCE = 'sts.amazonaws.com'

/** What the issuer URL of a SPIFFE trust domain begins with. Its tokens (JWT-SVID) need no `iss`: `sub` names the domain. */
export const SPIFFE_SCHEME = 'spiffe://'

/** Where an issuer's public keys come from. */
export type KeySource =
  | { readonly kind: 'discovery' }
  | { readonly kind: 'jwks_uri'; readonly uri: string }
  | { readonly kind: 'inline'; readonly keys: readonly PublicJwk[] }

export interface TrustedIssuer {
  readonly id: IssuerId
  /** The exact `iss` of its tokens. */
  readonly issuer: string
  readonly keys: KeySource
  readonly algorithms: readonly SubjectAlgorithm[]
  /** Every `aud` of a token must be one of these, and there must be at least one. */
  readonly audiences: readonly string[]
  readonly maxLifetimeSeconds: number
  readonly clockSkewSeconds: number
  readonly replay: ReplayMode
  /** Whether its tokens are exchanged only for a client that authenticates itself. */
  readonly clientAuthentication: 'none' | 'required'
  readonly defaultTarget?: TargetId
  /** The preset it was made from: what `policy lint` knows about its claims. */
  readonly preset?: PresetName
}

/** Where a client's public keys come from. */
export type ClientKeySource = Exclude<KeySource, { readonly kind: 'discovery' }>

/** One name of a certificate, in the one form in which names are compared: its subject, or one of its alternative names. */
export interface CertificateName {
  readonly kind: 'subject' | 'dns' | 'uri' | 'ip' | 'email'
  readonly value: string
}

/** How a client proves who it is. What another method would prove does not count. */
export type ClientAuthenticationMethod =
  | {
      /** RFC 7523 §2.2. */
      readonly method: 'private_key_jwt'
      readonly keys: ClientKeySource
      readonly algorithms: readonly SubjectAlgorithm[]
    }
  | {
      /** RFC 6749 §2.3.1, by HTTP Basic. */
      readonly method: 'client_secret_basic'
      /** One, or two while the secret is replaced: `hmac-sha256:<salt>:<digest>`. */
      readonly digests: readonly string[]
    }
  | {
      /** RFC 8705 §2.1: a certificate of somebody in the truststore. */
      readonly method: 'tls_client_auth'
      readonly name: CertificateName
    }
  | {
      /** RFC 8705 §2.2: a certificate of the client's own making. */
      readonly method: 'self_signed_tls_client_auth'
      readonly keys: ClientKeySource
    }

export interface Client {
  readonly id: ClientId
  readonly authentication: ClientAuthenticationMethod
  /** The targets whose tokens it may introspect. */
  readonly introspects: readonly TargetId[]
  /** The targets whose tokens it may revoke, beside those issued to itself. */
  readonly revokes: readonly TargetId[]
  /** For its requests without `audience` and `resource`, before the issuer's. */
  readonly defaultTarget?: TargetId
}

/** What a grant is for. `format` tells the kinds apart: whoever reads more of a target must say what it does for each. */
export type Target = TokenTarget | AwsTarget

/** Access tokens that the broker issues. */
export interface TokenTarget {
  readonly id: TargetId
  readonly audience: string
  readonly resources: readonly string[]
  readonly scopes: readonly string[]
  readonly format: TokenFormat
  /** Of tokens that are signed. */
  readonly algorithm: SigningAlgorithm
  /** `delegated` only with ES256. */
  readonly signing: SigningMode
  readonly maxLifetimeSeconds: number
  /** What its tokens are bound to, at least. */
  readonly binding: TokenBinding
  /** Whether proofs need a nonce of ours: only with `binding` `dpop`. */
  readonly dpopNonce: boolean
  /** Whether resource servers can read in a status list that a token is revoked. */
  readonly statusList: boolean
}

/** Temporary credentials of one AWS role. */
export interface AwsTarget {
  readonly id: TargetId
  /** What a token request names it by: the role's ARN, unless policy says otherwise. */
  readonly audience: string
  readonly resources: readonly []
  readonly scopes: readonly []
  readonly format: 'aws-credentials'
  readonly roleArn: string
  /** By a token that we sign (AssumeRoleWithWebIdentity), or by the role of a function of ours (AssumeRole). */
  readonly assume: 'web-identity' | 'role'
  /** How long the credentials work, 900 to 3600. */
  readonly durationSeconds: number
  /** What the session is called; without it, as the subject is. */
  readonly sessionName?: Template
  readonly sessionTags: Readonly<Record<string, Template>>
  /** Keys of `sessionTags` that stay when the session assumes a further role. */
  readonly transitiveTags: readonly string[]
  readonly sourceIdentity?: Template
  readonly sessionPolicy?: SessionPolicy
  /** Only with `assume: role`. */
  readonly externalId?: string
  /** What becomes of a request whose subject token ends before the shortest session that AWS gives. */
  readonly outlive: 'refuse' | 'deadline'
}

/** A claim template, cut into its parts. */
export type Template = readonly TemplatePart[]

/** The statements of an IAM policy that narrows a role for one session. Only `Resource` and `Condition` insert claims. */
export type SessionPolicy = readonly SessionStatement[]

export interface SessionStatement {
  readonly Sid?: string
  readonly Effect: 'Allow' | 'Deny'
  readonly Action?: readonly string[]
  readonly NotAction?: readonly string[]
  readonly Resource?: readonly Template[]
  readonly NotResource?: readonly string[]
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, readonly Template[]>>>>
}

/** One way in which a claim can satisfy a condition. */
export type Matcher =
  | { readonly kind: 'equals'; readonly value: JsonScalar }
  /** `*` is any run of characters but `/` and `:`; `**` is any run. */
  | { readonly kind: 'glob'; readonly pattern: string }

/** The claim at `path` must satisfy one of `anyOf`; an array claim does if one element does. */
export interface Condition {
  readonly path: readonly string[]
  readonly anyOf: readonly Matcher[]
}

/** A claim template, cut into literal text and paths of claims to insert. */
export type TemplatePart = string | { readonly path: readonly string[] }

/** At most `limit` exchanges in any `perSeconds`, for each subject or client, or for all of them together. */
export interface Rate {
  readonly limit: number
  readonly perSeconds: number
  readonly by: 'subject' | 'client' | 'grant'
}

/** Who may act for the subjects of a grant: whoever a token of this issuer names that meets all conditions. */
export interface ActorRule {
  readonly issuer: IssuerId
  readonly when: readonly Condition[]
}

export interface Grant {
  readonly id: GrantId
  readonly issuer: IssuerId
  readonly when: readonly Condition[]
  readonly client?: ClientId
  readonly target: TargetId
  readonly scopes: readonly string[]
  readonly defaultScopes: readonly string[]
  readonly lifetimeSeconds: number
  /** Claims of the issued token by name. */
  readonly claims: Readonly<Record<string, Template>>
  readonly rate?: Rate
  /** With it the grant is for exchanges with an actor token alone, of one of these; without it, for those without one. */
  readonly actors?: readonly ActorRule[]
}

/** A policy folder after validation: plain JSON, bundled with the functions. */
export interface CompiledPolicy {
  readonly format: 1
  /** SHA-256 of the rest, base64url: names this policy in audit records. */
  readonly digest: string
  /** Most actors that an issued token may name. */
  readonly maxDelegationDepth: number
  readonly issuers: readonly TrustedIssuer[]
  readonly clients: readonly Client[]
  readonly targets: readonly Target[]
  readonly grants: readonly Grant[]
}
