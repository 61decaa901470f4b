import { createHash, createPublicKey, createSign, generateKeyPairSync, type KeyObject } from 'node:crypto'
import type { ChainName } from '../../functions/core/audit-chain.ts'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import type { KeyManifest, KmsKey, ManifestKey } from '../../functions/core/key-lifecycle.ts'
import { DELEGATED_RING } from '../../functions/core/key-times.ts'
import { LIMITS } from '../../functions/core/limits.ts'
import type {
  AllRevocations,
  AuditObjects,
  ChainHints,
  CheckpointSigner,
  ClientKeys,
  DpopNonces,
  ExchangeLedger,
  ExchangeRecord,
  KeyHolder,
  KeyManifestStore,
  KeyPair,
  OneTimeLedger,
  PermitOutcome,
  ProbeKey,
  RatePermits,
  RecordOutcome,
  ReferenceTokens,
  Revocation,
  RevocationKey,
  RevocationRegister,
  RevocationStore,
  Signer,
  SigningKeyFactory,
  SigningKeyInventory,
  SpentCredential,
  StatusEntries,
  StatusEntry,
  StoredReference,
  TaggedKey,
  VerificationKey,
} from '../../functions/core/ports.ts'
import type { RateRule } from '../../functions/core/rate.ts'
import { isDelegated, ringOfKey } from '../../functions/core/signing-ring.ts'
import type { JsonObject, PublicJwk, RingName } from '../../functions/core/types.ts'

/** In-memory implementations of the ports. Each passes the contract suite that the AWS adapter passes. */

export class MemoryLedger implements ExchangeLedger {
  readonly records = new Map<string, ExchangeRecord>()

  async record(exchange: ExchangeRecord): Promise<RecordOutcome> {
    const existing = this.records.get(exchange.key)
    if (existing === undefined || existing.expiresAt < exchange.recordedAt) {
      this.records.set(exchange.key, exchange)
      return { kind: 'recorded' }
    }
    if (existing.attempt === exchange.attempt) return { kind: 'recorded' }
    const isSameRequest =
      exchange.fingerprint !== undefined &&
      exchange.fingerprint === existing.fingerprint &&
      exchange.recordedAt - existing.recordedAt <= LIMITS.idempotencySeconds
    return isSameRequest ? { kind: 'same_request', issued: existing.issued } : { kind: 'replayed' }
  }
}

/** Counts every exchange by itself: what the leases of the real one may only approach from below. */
export class MemoryRatePermits implements RatePermits {
  private readonly times = new Map<string, readonly number[]>()
  private readonly nowMs: () => number

  constructor(nowMs: () => number = () => 0) {
    this.nowMs = nowMs
  }

  async take({ key, limit, perSeconds }: RateRule): Promise<PermitOutcome> {
    const now = this.nowMs()
    const inWindow = (this.times.get(key) ?? []).filter((time) => time > now - perSeconds * 1000)
    const [oldest = now] = inWindow
    if (inWindow.length >= limit) {
      const waitMs = oldest + perSeconds * 1000 - now
      return { kind: 'exceeded', retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1000)) }
    }
    this.times.set(key, [...inWindow, now])
    return { kind: 'permitted' }
  }
}

export class MemoryReferenceTokens implements ReferenceTokens {
  readonly stored = new Map<string, StoredReference>()

  async store(token: StoredReference): Promise<void> {
    const existing = this.stored.get(token.handleHash) ?? token
    if (JSON.stringify(existing.claims) !== JSON.stringify(token.claims)) throw new Error('one handle')
    this.stored.set(token.handleHash, existing)
  }

  async find(handleHash: string): Promise<JsonObject | undefined> {
    return this.stored.get(handleHash)?.claims
  }
}

export class MemoryOneTimeLedger implements OneTimeLedger {
  /** By kind and id. */
  readonly spent = new Map<string, SpentCredential>()

  async claim(credential: SpentCredential): Promise<'claimed' | 'replayed'> {
    const key = `${credential.kind}#${credential.id}`
    const existing = this.spent.get(key)
    if (existing !== undefined && existing.expiresAt >= credential.spentAt)
      return existing.attempt === credential.attempt ? 'claimed' : 'replayed'
    this.spent.set(key, credential)
    return 'claimed'
  }
}

export class MemoryStatusEntries implements StatusEntries {
  readonly stored = new Map<string, StatusEntry>()

  async write(entry: StatusEntry): Promise<void> {
    const place = JSON.stringify(entry.status)
    const existing = this.stored.get(place) ?? entry
    if (existing.facts.tokenId !== entry.facts.tokenId) throw new Error('one status index')
    this.stored.set(place, existing)
  }

  async read(list: number, now: number): Promise<readonly StatusEntry[]> {
    return [...this.stored.values()].filter((entry) => entry.status.list === list && entry.expiresAt > now)
  }
}

export class MemoryRevocations implements RevocationStore, AllRevocations, RevocationRegister {
  async all(): Promise<ReadonlyMap<RevocationKey, number> | undefined> {
    return new Map(this.stored)
  }

  readonly stored = new Map<RevocationKey, number>()
  /** What {@link revoke} wrote, by key. */
  readonly written = new Map<RevocationKey, Revocation>()

  async revoke(revocations: readonly Revocation[]): Promise<void> {
    for (const revocation of revocations) {
      if ((this.stored.get(revocation.key) ?? -1) >= revocation.cutOff) continue
      this.stored.set(revocation.key, revocation.cutOff)
      this.written.set(revocation.key, revocation)
    }
  }

  async cutOffs(keys: readonly RevocationKey[]): Promise<ReadonlyMap<RevocationKey, number>> {
    return new Map(
      keys.flatMap((key) => {
        const cutOff = this.stored.get(key)
        return cutOff === undefined ? [] : [[key, cutOff] as const]
      }),
    )
  }
}

export class MemoryKeyManifests implements KeyManifestStore {
  readonly manifests = new Map<RingName, KeyManifest>()

  async read(ring: RingName): Promise<KeyManifest | undefined> {
    return this.manifests.get(ring)
  }

  async save(manifest: KeyManifest): Promise<'saved' | 'conflict'> {
    const version = this.manifests.get(manifest.ring)?.version ?? 0
    if (version !== manifest.version - 1) return 'conflict'
    this.manifests.set(manifest.ring, manifest)
    return 'saved'
  }
}

interface MemoryKey {
  readonly ring: RingName
  readonly reservation: string
  state: 'enabled' | 'disabled' | 'pending deletion'
}

/** Makes and uses real keys in memory. */
export class MemoryKeys implements SigningKeyFactory, SigningKeyInventory, Signer {
  readonly private = new Map<string, KeyObject>()
  /** What {@link create} made, by handle. */
  readonly made = new Map<string, MemoryKey>()
  readonly active = new Map<RingName, ManifestKey>()
  /** Put in force by {@link forget}: what the store says by then. */
  readonly next = new Map<RingName, ManifestKey>()
  signatures = 0
  private readonly generate: (ring: RingName) => KeyObject

  constructor(generate: (ring: RingName) => KeyObject = newPrivateKey) {
    this.generate = generate
  }

  async create(ring: RingName, reservation: string): Promise<string> {
    const number = this.private.size + 1
    const arn =
      ring === DELEGATED_RING ? `wrapped-${number}` : `arn:aws:kms:eu-west-1:111111111111:key/${number}`
    this.private.set(arn, this.generate(ring))
    this.made.set(arn, { ring, reservation, state: 'enabled' })
    return arn
  }

  async publicKey(keyArn: string): Promise<PublicJwk> {
    const { kty, n, e, crv, x, y } = this.keyOf(keyArn).export({ format: 'jwk' })
    return (kty === 'RSA' ? { kty, n, e } : { kty, crv, x, y }) as PublicJwk
  }

  async prove(key: KeyPair): Promise<'proven' | 'refused'> {
    this.signatures++
    return this.made.get(('keyArn' in key ? key.keyArn : key.wrapped) ?? '')?.state === 'enabled'
      ? 'proven'
      : 'refused'
  }

  async find(ring: RingName): Promise<readonly TaggedKey[]> {
    // What is not in the manifest was never made.
    if (ring === DELEGATED_RING) return []
    const tagged = [...this.made].filter(([, key]) => key.ring === ring)
    return tagged.map(([keyArn, { reservation }]) => ({ keyArn, reservation }))
  }

  async disable(keyArn: string): Promise<void> {
    const key = this.made.get(keyArn)
    if (key?.state === 'enabled') key.state = 'disabled'
  }

  async scheduleDeletion(keyArn: string): Promise<void> {
    const key = this.made.get(keyArn)
    if (key !== undefined) key.state = 'pending deletion'
  }

  async activeKey(ring: RingName): Promise<ManifestKey> {
    const key = this.active.get(ring)
    if (key === undefined) throw new DependencyUnavailable('kms', `no active ${ring} key`)
    return key
  }

  async sign(key: ManifestKey, signingInput: string): Promise<Uint8Array> {
    if (this.active.get(ringOfKey(key))?.kid !== key.kid)
      throw new DependencyUnavailable('kms', `key ${key.kid} is not active`)
    this.signatures++
    const privateKey = this.keyOf((isDelegated(key) ? key.wrapped : key.keyArn) ?? '')
    return createSign('sha256').update(signingInput).sign({ key: privateKey, dsaEncoding: 'ieee-p1363' })
  }

  forget(algorithm: RingName): void {
    const next = this.next.get(algorithm)
    if (next !== undefined) this.active.set(algorithm, next)
  }

  /** Makes a key and puts it in force. */
  async activate(ring: RingName): Promise<ManifestKey> {
    const handle = await this.create(ring, 'none')
    const publicJwk = await this.publicKey(handle)
    const kid = createHash('sha256').update(handle).digest('base64url')
    const entry = { kid, state: 'active', publicJwk, since: 0 } as const
    const attestation = { statement: 'none', by: 'none', expiresAt: 0 }
    const key: ManifestKey =
      ring === DELEGATED_RING
        ? { ...entry, algorithm: 'ES256', wrapped: handle, attestation }
        : { ...entry, algorithm: ring, keyArn: handle }
    this.active.set(ring, key)
    return key
  }

  private keyOf(arn: string): KeyObject {
    const key = this.private.get(arn)
    if (key === undefined) throw new DependencyUnavailable('kms', 'NotFoundException')
    return key
  }
}

/** The ARN of a key that must be in KMS. */
export function arnOf(key: ManifestKey | undefined): string {
  if (key === undefined || isDelegated(key)) throw new Error('not a key in KMS')
  return (key satisfies KmsKey).keyArn
}

/** What names the private half of a key. */
export function handleOf(key: ManifestKey): string {
  return isDelegated(key) ? (key.wrapped ?? '') : key.keyArn
}

function newPrivateKey(ring: RingName): KeyObject {
  return ring === 'RS256' ? generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey : newEcKey()
}

/** For rings of many keys, where what they are of does not matter: RSA pairs take a thousand times longer to make. */
export function newEcKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
}

/** Issuers' keys by issuer URL and `kid`. */
export class MemoryIssuerKeys implements ClientKeys {
  readonly keys = new Map<string, ReadonlyMap<string, VerificationKey>>()
  /** As they are published, by holder. */
  readonly published = new Map<string, readonly PublicJwk[]>()

  async findKey(client: KeyHolder, isIt: (key: PublicJwk) => boolean): Promise<PublicJwk | undefined> {
    const known = this.published.get(client.issuer)
    if (known === undefined) throw new DependencyUnavailable('issuer-keys', 'down')
    return known.find(isIt)
  }

  async find(issuer: KeyHolder, kid: string): Promise<VerificationKey | undefined> {
    const known = this.keys.get(issuer.issuer)
    if (known === undefined) throw new DependencyUnavailable('issuer-keys', 'down')
    return known.get(kid)
  }
}

/** Nonces that only this test run knows. */
export class MemoryDpopNonces implements DpopNonces {
  async at(now: number): Promise<readonly [string, ...string[]]> {
    const slot = Math.floor(now / LIMITS.dpopNonceSeconds)
    const ahead = Math.floor((now + LIMITS.clockSkewSeconds) / LIMITS.dpopNonceSeconds)
    const nonceOf = (of: number) =>
      createHash('sha256').update(`nonce ${of}`).digest('base64url').slice(0, 32)
    return [nonceOf(slot), ...[slot - 1, ...(ahead === slot ? [] : [ahead])].map(nonceOf)]
  }
}

export class MemoryAuditObjects implements AuditObjects {
  readonly objects = new Map<string, Uint8Array>()

  async put(key: string, bytes: Uint8Array): Promise<'written' | 'exists'> {
    if (this.objects.has(key)) return 'exists'
    this.objects.set(key, bytes)
    return 'written'
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    return this.objects.get(key)
  }
}

export class MemoryChainHints implements ChainHints {
  readonly hints = new Map<ChainName, number>()

  async read(chain: ChainName): Promise<number> {
    return this.hints.get(chain) ?? 0
  }

  async advance(chain: ChainName, seq: number): Promise<void> {
    this.hints.set(chain, Math.max(seq, this.hints.get(chain) ?? 0))
  }
}

export class MemoryProbeKey implements ProbeKey {
  readonly kid = 'probe-key'
  readonly privateKey = newEcKey()

  async publicJwk(): Promise<PublicJwk> {
    return createPublicKey(this.privateKey).export({ format: 'jwk' }) as PublicJwk
  }

  async sign(signingInput: string): Promise<Uint8Array> {
    return createSign('sha256').update(signingInput).sign({ key: this.privateKey, dsaEncoding: 'ieee-p1363' })
  }
}

export class MemoryCheckpointSigner implements CheckpointSigner {
  readonly keyId = 'arn:aws:kms:eu-west-1:111111111111:key/checkpoints'
  readonly privateKey = newEcKey()

  async sign(signingInput: string): Promise<Uint8Array> {
    return createSign('sha256').update(signingInput).sign({ key: this.privateKey, dsaEncoding: 'ieee-p1363' })
  }
}
