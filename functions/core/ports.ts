import type { CryptoKey } from 'jose'
import type { ChainName } from './audit-chain.ts'
import type { AuditEvent, FailedEvent } from './audit-event.ts'
import type { AwsSession } from './aws-session.ts'
import type { DelegatedKey, KeyHandle, KeyManifest, KmsKey, ManifestKey } from './key-lifecycle.ts'
import type { KeySource } from './policy/compiled.ts'
import type { RateRule } from './rate.ts'
import type { StatusFacts } from './status-list.ts'
import type { JsonObject, PublicJwk, RingName, TokenId } from './types.ts'

/** A public key ready for `jose`, already bound to one algorithm. */
export type VerificationKey = CryptoKey

/** Whoever publishes public keys: an issuer, or a client. */
export interface KeyHolder {
  /** For messages, and unique among holders of its kind. */
  readonly id: string
  /** The exact `iss` of what it signs: its keys are its own, and no other holder's (RFC 8725 §3.10). */
  readonly issuer: string
  readonly keys: KeySource
}

export interface IssuerKeys {
  /**
   * The key that `issuer` publishes as `kid` for `algorithm`, or `undefined` if it publishes none such.
   * Throws {@link DependencyUnavailable} if the issuer cannot be asked and nothing usable is cached.
   */
  find(issuer: KeyHolder, kid: string, algorithm: string): Promise<VerificationKey | undefined>
}

export interface ClientKeys extends IssuerKeys {
  /**
   * A key that the client publishes and that is the one that is looked for, or `undefined` if it publishes none such.
   * Throws {@link DependencyUnavailable} as {@link find} does.
   */
  findKey(client: KeyHolder, isIt: (key: PublicJwk) => boolean): Promise<PublicJwk | undefined>
}

/** The parts of an issued token that a retry of the same request must repeat. Times in epoch seconds. */
export interface IssuedIdentity {
  readonly id: TokenId
  readonly jti: string
  readonly issuedAt: number
  readonly expiresAt: number
  /** Where its status can be read, if its target wants that. */
  readonly status?: StatusIndex | undefined
}

/** The place of a token in a status list. */
export interface StatusIndex {
  readonly list: number
  readonly index: number
}

export interface ExchangeRecord {
  /** What may happen once: the subject token's id, with the target or replaced by the issued token's id, by replay mode. */
  readonly key: string
  /** Random, one per invocation: by it a repeated write recognises itself. */
  readonly attempt: string
  /** Set when the request carried an `Idempotency-Key`: digest of that key and of everything else it asked. */
  readonly fingerprint?: string
  readonly issued: IssuedIdentity
  readonly recordedAt: number
  /** The record counts until then, epoch seconds, whether or not the store has deleted it by that time. */
  readonly expiresAt: number
  readonly event: AuditEvent
}

export type RecordOutcome =
  | { readonly kind: 'recorded' }
  | { readonly kind: 'replayed' }
  /** The same idempotent request was recorded at most 60 s ago, as this token. */
  | { readonly kind: 'same_request'; readonly issued: IssuedIdentity }

export interface ExchangeLedger {
  /**
   * Writes the record once and durably. Of any number of simultaneous callers with the same key, exactly one gets
   * `recorded`; a write that was applied but not answered is recognised on its repetition.
   * Throws {@link DependencyUnavailable} if the outcome cannot be known.
   */
  record(exchange: ExchangeRecord): Promise<RecordOutcome>
}

/** What the broker keeps of a reference token: everything but the handle. */
export interface StoredReference {
  /** SHA-256 of the handle, base64url. */
  readonly handleHash: string
  /** What the JWT would have said. */
  readonly claims: JsonObject
  /** From then on the store may forget it, epoch seconds. Whether the token has expired, its claims say. */
  readonly expiresAt: number
}

export interface ReferenceTokens {
  /** Keeps the token durably, and never overwrites another. Throws {@link DependencyUnavailable} if that cannot be known. */
  store(token: StoredReference): Promise<void>
  /**
   * The claims kept under the hash of a handle, strongly consistent, or `undefined`. Throws
   * {@link DependencyUnavailable} rather than guess.
   */
  find(handleHash: string): Promise<JsonObject | undefined>
}

/** What may be used once beside the record: a client assertion, a token as an actor's, a DPoP proof. */
export type OneTimeKind = 'assertion' | 'actor' | 'dpop'

/** A credential that was accepted, and must not be accepted again. Times in epoch seconds. */
export interface SpentCredential {
  readonly kind: OneTimeKind
  /** Unique within its kind, and no secret. */
  readonly id: string
  /** Of whoever uses it, and of nobody else: by it a repeated write recognises itself. */
  readonly attempt: string
  readonly spentAt: number
  /** Nobody accepts the credential after that, whatever their clock says within the skew. */
  readonly expiresAt: number
}

export interface OneTimeLedger {
  /**
   * Claims the one use of the credential, durably. Of any number of simultaneous callers exactly one gets `claimed`; a
   * write that was applied but not answered is recognised on its repetition.
   * Throws {@link DependencyUnavailable} if the outcome cannot be known.
   */
  claim(credential: SpentCredential): Promise<'claimed' | 'replayed'>
}

export interface DpopNonces {
  /**
   * The nonces that are accepted at `now`, epoch seconds: the one to hand out first. They are the same everywhere, and nobody
   * can know them before they are handed out. Throws {@link DependencyUnavailable}.
   */
  at(now: number): Promise<readonly [current: string, ...others: string[]]>
}

/** `kind#id`, for example `token#<token id>` or `subject#<sub>`. Made only by `revocation.ts`. */
export type RevocationKey = `${'token' | 'subject' | 'client' | 'issuer' | 'lineage' | 'key'}#${string}`

export interface RevocationStore {
  /**
   * The cut-offs in force, by key: what was issued at or before that epoch second is revoked. Strongly consistent and
   * complete. Throws {@link DependencyUnavailable} rather than answer with a part.
   */
  cutOffs(keys: readonly RevocationKey[]): Promise<ReadonlyMap<RevocationKey, number>>
}

export type PermitOutcome =
  | { readonly kind: 'permitted' }
  /** The limit is reached; a permit is given back after so long, at the earliest. */
  | { readonly kind: 'exceeded'; readonly retryAfterSeconds: number }

export interface RatePermits {
  /**
   * Takes one permit of the rule: in any window of its length there are never more than its limit, over all callers.
   * Throws {@link DependencyUnavailable} if that cannot be known.
   */
  take(rule: RateRule): Promise<PermitOutcome>
}

export interface AllRevocations {
  /**
   * As {@link RevocationStore.cutOffs} of all keys there are, or `undefined` where they are too many to be read at once.
   * Throws {@link DependencyUnavailable}.
   */
  all(): Promise<ReadonlyMap<RevocationKey, number> | undefined>
}

export interface StatusIndices {
  /** An index that no other token has or ever gets. Throws {@link DependencyUnavailable}. */
  next(): Promise<StatusIndex>
}

/** What a status list knows of one token. */
export interface StatusEntry {
  readonly status: StatusIndex
  readonly facts: StatusFacts
  /** From then on nobody accepts the token, epoch seconds. */
  readonly expiresAt: number
}

export interface StatusEntries {
  /**
   * Writes the entry durably; again for the same token is harmless, for another it is a fault. Throws
   * {@link DependencyUnavailable} if it may not have been written.
   */
  write(entry: StatusEntry): Promise<void>
  /**
   * All entries of a list that have not expired by `now`, epoch seconds; strongly consistent and complete. Throws
   * {@link DependencyUnavailable} rather than answer with a part.
   */
  read(list: number, now: number): Promise<readonly StatusEntry[]>
}

/** One cut-off, with what must be known of it later. Times in epoch seconds. */
export interface Revocation {
  readonly key: RevocationKey
  /** What was issued at or before that moment is revoked; of a token, lineage or signing key everything is. */
  readonly cutOff: number
  readonly reason: string
  /** The client id or the ARN of who revoked. */
  readonly author: string
  readonly at: number
  /**
   * When nothing that it forbids can be alive any more: only then may the store delete it. `undefined` where no such
   * moment is known.
   */
  readonly expiresAt?: number | undefined
}

export interface RevocationRegister {
  /**
   * Writes the cut-offs durably before it returns. They only ever grow: of several for one key the latest holds, in
   * whatever order they arrive and however often, and none can be taken back. Throws {@link DependencyUnavailable} if
   * any of them may not have been written; to repeat the call is harmless.
   */
  revoke(revocations: readonly Revocation[]): Promise<void>
}

/** Temporary credentials of a session. */
export interface AwsCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken: string
  /** Epoch seconds. */
  readonly expiresAt: number
}

export type CredentialOutcome =
  | { readonly kind: 'issued'; readonly credentials: AwsCredentials }
  /** The role's trust policy says no. `code` is STS's. */
  | { readonly kind: 'denied'; readonly code: string }

/**
 * Starts sessions of AWS roles. Whole credentials or none: throws {@link DependencyUnavailable} if STS cannot be asked, or
 * answers with a part, and {@link SessionRejected} if STS finds fault with the request or our token.
 */
export interface CredentialIssuer {
  /** AssumeRoleWithWebIdentity, with a token that the broker has signed for this session. */
  withWebIdentity(session: AwsSession, token: string): Promise<CredentialOutcome>
  /** AssumeRole, as the function's own role. */
  withOwnRole(session: AwsSession): Promise<CredentialOutcome>
}

export interface Signer {
  /** The active key of the ring, from a manifest read at most 60 s ago. Throws {@link DependencyUnavailable} without one. */
  activeKey(ring: RingName): Promise<ManifestKey>
  /**
   * The JWS signature (RFC 7515; ECDSA as r‖s) of `signingInput`, verified against the key's public half before it is
   * returned. Throws {@link DependencyUnavailable}, also for a key that the manifest does not name as active, or
   * {@link WrongSignature} if what came back does not verify.
   */
  sign(key: ManifestKey, signingInput: string): Promise<Uint8Array>
  /** Makes the next {@link activeKey} ask anew: the one that was given must not sign any more. */
  forget(ring: RingName): void
}

export interface KeyManifestStore {
  /** The ring's manifest, strongly consistent, or `undefined` before its first key. */
  read(ring: RingName): Promise<KeyManifest | undefined>
  /** Replaces the manifest if it still has version `manifest.version - 1`. */
  save(manifest: KeyManifest): Promise<'saved' | 'conflict'>
}

/** What is needed to use a key: the manifest may not know it yet. */
export type KeyPair =
  | Pick<KmsKey, 'kid' | 'keyArn' | 'algorithm' | 'publicJwk'>
  | Pick<DelegatedKey, 'kid' | 'wrapped' | 'algorithm' | 'publicJwk'>

export interface SigningKeyFactory {
  /** Makes a key pair for the ring; in KMS tagged as ours and with the reservation. */
  create(ring: RingName, reservation: string): Promise<KeyHandle>
  /** The public half, without `kid`. */
  publicKey(handle: KeyHandle): Promise<PublicJwk>
  /**
   * Signs a text that is no token, and verifies it: `refused` if the key is disabled, waits for its deletion, or can be
   * decrypted no more. Throws {@link DependencyUnavailable}, or {@link WrongSignature}, if nothing can be said.
   */
  prove(key: KeyPair): Promise<'proven' | 'refused'>
}

/** A key in KMS with our tags, whether or not a manifest knows it. */
export interface TaggedKey {
  readonly keyArn: string
  readonly reservation: string | undefined
}

export interface SigningKeyInventory {
  /** The keys with the tags of this stage and ring, in whatever state they are. */
  find(ring: RingName): Promise<readonly TaggedKey[]>
  /** Makes the key unable to sign, until somebody enables it. May be repeated; a key that is gone is no fault. */
  disable(handle: KeyHandle): Promise<void>
  /** Has KMS delete the key in 30 days. May be repeated; a key that is gone is no fault. */
  scheduleDeletion(handle: KeyHandle): Promise<void>
}

export interface KeyAttester {
  /** The JWS by which our KMS key `by` says that `key` is ours until `expiresAt`. Throws {@link DependencyUnavailable}. */
  attest(key: Pick<ManifestKey, 'kid' | 'publicJwk'>, by: KmsKey, expiresAt: number): Promise<string>
}

/** A store in which nothing that was written can be replaced. */
export interface AuditObjects {
  /**
   * Writes the object if there is none of that key. Of any number of simultaneous writers exactly one gets `written`; one
   * whose answer was lost may get `exists`. Throws {@link DependencyUnavailable} if the outcome cannot be known.
   */
  put(key: string, bytes: Uint8Array): Promise<'written' | 'exists'>
  /** The object's bytes, or `undefined` if there is none. */
  get(key: string): Promise<Uint8Array | undefined>
}

/** Where to look for the end of a chain. It may be behind, and is never ahead. */
export interface ChainHints {
  /** The number of an object that was written, 0 before the first. */
  read(chain: ChainName): Promise<number>
  /** Moves the hint to `seq`; never back. */
  advance(chain: ChainName, seq: number): Promise<void>
}

/**
 * Where an exchange is after it was parsed: who asks with which tokens; what policy says; and what is asked of AWS to record,
 * check and make the token.
 */
export type Stage = 'verify' | 'policy' | 'mint'

/** Is told when a request enters a stage, for whoever measures. */
export interface StageListener {
  enter(stage: Stage): void
}

/** Is told of the record of an exchange, for whoever has to say that what it names was not released. */
export interface RecordListener {
  /**
   * A record is about to be written: `failed` is to be in the audit trail if the request fails from here on. Throws if the
   * request has been answered: then nothing is to be recorded.
   */
  recording(failed: FailedEvent): void
  /** There is no record of this request, or its refusal has been logged. */
  accounted(): void
}

/** A key by which the probe proves who it is, and nobody else anything. */
export interface ProbeKey {
  readonly kid: string
  publicJwk(): Promise<PublicJwk>
  /** The JWS signature (ES256) of `signingInput`. Throws {@link DependencyUnavailable} or {@link WrongSignature}. */
  sign(signingInput: string): Promise<Uint8Array>
}

/** An answer of the broker, as a client sees it. */
export interface BrokerAnswer {
  readonly status: number
  readonly correlationId: string | undefined
  /** Empty where it is no JSON object. */
  readonly body: Readonly<Record<string, unknown>>
}

/** Sends a request to the broker, a POST where there is a form. Throws if there is no answer before `deadline`. */
export type SendToBroker = (
  request: { readonly path: string; readonly form?: Readonly<Record<string, string>> },
  deadline: AbortSignal,
) => Promise<BrokerAnswer>

export interface CheckpointSigner {
  /** Names the key to whoever verifies. */
  readonly keyId: string
  /** The JWS signature (ES256) of `signingInput`, verified. Throws {@link DependencyUnavailable} or {@link WrongSignature}. */
  sign(signingInput: string): Promise<Uint8Array>
}
