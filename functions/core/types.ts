declare const brand: unique symbol

/** A value of type `T` that only the stage which checked it may produce. */
export type Brand<T, Name extends string> = T & { readonly [brand]: { readonly [N in Name]: true } }

/** The id that policy gives an issuer, for example `github`; `broker` is reserved for our own tokens. */
export type IssuerId = Brand<string, 'IssuerId'>
/** The id that policy gives a target. */
export type TargetId = Brand<string, 'TargetId'>
/** The id that policy gives a grant. */
export type GrantId = Brand<string, 'GrantId'>
/** The id that policy gives a client. */
export type ClientId = Brand<string, 'ClientId'>
/** 22 base64url characters that name one token for replay, lineage and revocation. Made only by `token-id.ts`. */
export type TokenId = Brand<string, 'TokenId'>

export type JsonScalar = string | number | boolean | null
export type JsonValue = JsonScalar | readonly JsonValue[] | JsonObject
/** A JSON object without a prototype: `__proto__` and `constructor` are names like any other. */
export interface JsonObject {
  readonly [name: string]: JsonValue
}

/** How often one subject token may be presented. */
export type ReplayMode = 'single-use' | 'once-per-target' | 'reusable'

/** The JWS algorithms that the broker signs with. */
export type SigningAlgorithm = 'RS256' | 'ES256'

/** What an access token is to those who receive it: signed claims, or a handle of claims that the broker keeps. */
export type TokenFormat = 'jwt' | 'reference'

/** What binds a target's tokens to whoever was given them: nothing, a key that signs proofs, or a certificate. */
export type TokenBinding = 'none' | 'dpop' | 'mtls'

/** A ring of signing keys that follow one another: of each algorithm one in KMS, and one of delegated keys. */
export type RingName = SigningAlgorithm | 'delegated-ES256'

/** Who signs a target's tokens: KMS each of them, or a function with a short-lived key that KMS has handed over. */
export type SigningMode = 'kms' | 'delegated'

/** The JWS algorithms that policy may accept from an issuer. All are asymmetric. */
export type SubjectAlgorithm =
  | 'RS256'
  | 'RS384'
  | 'RS512'
  | 'PS256'
  | 'PS384'
  | 'PS512'
  | 'ES256'
  | 'ES384'
  | 'ES512'
  | 'EdDSA'

/** A public JSON Web Key (RFC 7517): never a private or symmetric one. */
export interface PublicJwk {
  readonly kty: string
  readonly kid?: string
  readonly alg?: string
  readonly use?: string
  readonly key_ops?: readonly string[]
  readonly crv?: string
  readonly x?: string
  readonly y?: string
  readonly n?: string
  readonly e?: string
  /** The certificate of the key and those above it, DER in base64. */
  readonly x5c?: readonly string[]
  /** SHA-256 of that certificate, base64url. */
  readonly 'x5t#S256'?: string
}
