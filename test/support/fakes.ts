import { createHash, createSign, generateKeyPairSync, type KeyObject } from 'node:crypto'
import type { ChainName } from '../../functions/core/audit-chain.ts'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import type { KeyManifest, ManifestKey } from '../../functions/core/key-lifecycle.ts'
import { LIMITS } from '../../functions/core/limits.ts'
import type {
  AssertionLedger,
  AuditObjects,
  ChainHints,
  CheckpointSigner,
  ExchangeLedger,
  ExchangeRecord,
  IssuerKeys,
  KeyHolder,
  KeyManifestStore,
  KeyPair,
  RecordOutcome,
  Revocation,
  RevocationKey,
  RevocationRegister,
  RevocationStore,
  Signer,
  SigningKeyFactory,
  SigningKeyInventory,
  SpentAssertion,
  TaggedKey,
  VerificationKey,
} from '../../functions/core/ports.ts'
import type { PublicJwk, SigningAlgorithm } from '../../functions/core/types.ts'

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

export class MemoryAssertions implements AssertionLedger {
  readonly spent = new Map<string, SpentAssertion>()

  async claim(assertion: SpentAssertion): Promise<'claimed' | 'replayed'> {
    const existing = this.spent.get(assertion.id)
    if (existing !== undefined && existing.expiresAt >= assertion.spentAt)
      return existing.attempt === assertion.attempt ? 'claimed' : 'replayed'
    this.spent.set(assertion.id, assertion)
    return 'claimed'
  }
}

export class MemoryRevocations implements RevocationStore, RevocationRegister {
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
  readonly manifests = new Map<SigningAlgorithm, KeyManifest>()

  async read(ring: SigningAlgorithm): Promise<KeyManifest | undefined> {
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
  readonly ring: SigningAlgorithm
  readonly reservation: string
  state: 'enabled' | 'disabled' | 'pending deletion'
}

/** Makes and uses real keys in memory. */
export class MemoryKeys implements SigningKeyFactory, SigningKeyInventory, Signer {
  readonly private = new Map<string, KeyObject>()
  /** What {@link create} made, by ARN. */
  readonly made = new Map<string, MemoryKey>()
  readonly active = new Map<SigningAlgorithm, ManifestKey>()
  /** Put in force by {@link forget}: what the store says by then. */
  readonly next = new Map<SigningAlgorithm, ManifestKey>()
  signatures = 0
  private readonly generate: (ring: SigningAlgorithm) => KeyObject

  constructor(generate: (ring: SigningAlgorithm) => KeyObject = newPrivateKey) {
    this.generate = generate
  }

  async create(ring: SigningAlgorithm, reservation: string): Promise<string> {
    const arn = `arn:aws:kms:eu-west-1:111111111111:key/${this.private.size + 1}`
    this.private.set(arn, this.generate(ring))
    this.made.set(arn, { ring, reservation, state: 'enabled' })
    return arn
  }

  async publicKey(keyArn: string): Promise<PublicJwk> {
    const { kty, n, e, crv, x, y } = this.keyOf(keyArn).export({ format: 'jwk' })
    return (kty === 'RSA' ? { kty, n, e } : { kty, crv, x, y }) as PublicJwk
  }

  async prove({ keyArn }: KeyPair): Promise<'proven' | 'refused'> {
    this.signatures++
    return this.made.get(keyArn)?.state === 'enabled' ? 'proven' : 'refused'
  }

  async find(ring: SigningAlgorithm): Promise<readonly TaggedKey[]> {
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

  async activeKey(algorithm: SigningAlgorithm): Promise<ManifestKey> {
    const key = this.active.get(algorithm)
    if (key === undefined) throw new DependencyUnavailable('kms', `no active ${algorithm} key`)
    return key
  }

  async sign(key: ManifestKey, signingInput: string): Promise<Uint8Array> {
    if (this.active.get(key.algorithm)?.kid !== key.kid)
      throw new DependencyUnavailable('kms', `key ${key.kid} is not active`)
    this.signatures++
    const privateKey = this.keyOf(key.keyArn)
    return createSign('sha256').update(signingInput).sign({ key: privateKey, dsaEncoding: 'ieee-p1363' })
  }

  forget(algorithm: SigningAlgorithm): void {
    const next = this.next.get(algorithm)
    if (next !== undefined) this.active.set(algorithm, next)
  }

  /** Makes a key and puts it in force. */
  async activate(ring: SigningAlgorithm): Promise<ManifestKey> {
    const keyArn = await this.create(ring, 'none')
    const publicJwk = await this.publicKey(keyArn)
    const kid = createHash('sha256').update(keyArn).digest('base64url')
    const key: ManifestKey = { kid, keyArn, algorithm: ring, state: 'active', publicJwk, since: 0 }
    this.active.set(ring, key)
    return key
  }

  private keyOf(arn: string): KeyObject {
    const key = this.private.get(arn)
    if (key === undefined) throw new DependencyUnavailable('kms', 'NotFoundException')
    return key
  }
}

function newPrivateKey(ring: SigningAlgorithm): KeyObject {
  return ring === 'RS256' ? generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey : newEcKey()
}

/** For rings of many keys, where what they are of does not matter: RSA pairs take a thousand times longer to make. */
export function newEcKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
}

/** Issuers' keys by issuer URL and `kid`. */
export class MemoryIssuerKeys implements IssuerKeys {
  readonly keys = new Map<string, ReadonlyMap<string, VerificationKey>>()

  async find(issuer: KeyHolder, kid: string): Promise<VerificationKey | undefined> {
    const known = this.keys.get(issuer.issuer)
    if (known === undefined) throw new DependencyUnavailable('issuer-keys', 'down')
    return known.get(kid)
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

export class MemoryCheckpointSigner implements CheckpointSigner {
  readonly keyId = 'arn:aws:kms:eu-west-1:111111111111:key/checkpoints'
  readonly privateKey = newEcKey()

  async sign(signingInput: string): Promise<Uint8Array> {
    return createSign('sha256').update(signingInput).sign({ key: this.privateKey, dsaEncoding: 'ieee-p1363' })
  }
}
