import { DependencyUnavailable } from '../core/fault.ts'
import { importPublicKey } from '../core/import-public-key.ts'
import { fitsAlgorithm, type KeysByKid, readJwks } from '../core/issuer-jwks.ts'
import { LIMITS } from '../core/limits.ts'
import type { ClientKeys, KeyHolder, VerificationKey } from '../core/ports.ts'
import type { PublicJwk } from '../core/types.ts'
import type { FetchJson } from './fetch-json.ts'

/** For both documents of an issuer together. */
const DEADLINE_MS = 2000

interface CachedIssuer {
  keys: KeysByKid | undefined
  fetchedAt: number
  attemptedAt: number
  /** The fetch under way, shared by everybody who wants one. */
  fetching: Promise<void> | undefined
  /** Why the last fetch gave nothing. */
  failure: unknown
  /** Keys made ready for `jose`, by `kid algorithm`; emptied with every fetch. */
  imported: Map<string, VerificationKey>
}

/**
 * Public keys of issuers, or of clients (an instance of its own), by discovery, `jwks_uri` or inline. Fresh for 10 minutes; while the issuer fails, stale for an
 * hour at most; an issuer is asked once per 30 s at most, whether for an unknown `kid` or because it fails, and what was
 * good is never thrown away for what is not.
 */
export class FetchedIssuerKeys implements ClientKeys {
  private readonly fetchJson: FetchJson
  private readonly now: () => number
  /** URLs that stand in for issuers' own, in the local cloud only. */
  private readonly standIns: Readonly<Record<string, string>>
  private readonly onFailure: (holder: KeyHolder, fault: unknown) => void
  private readonly issuers = new Map<string, CachedIssuer>()

  constructor(
    fetchJson: FetchJson,
    now: () => number,
    more: {
      readonly standIns?: Readonly<Record<string, string>> | undefined
      /** Told of each attempt that gave nothing, also while older keys serve. */
      readonly onFailure?: ((holder: KeyHolder, fault: unknown) => void) | undefined
    } = {},
  ) {
    this.fetchJson = fetchJson
    this.now = now
    this.standIns = more.standIns ?? {}
    this.onFailure = more.onFailure ?? (() => undefined)
  }

  async find(issuer: KeyHolder, kid: string, algorithm: string): Promise<VerificationKey | undefined> {
    const cached = await this.freshKeysOf(issuer)
    if (!cached.keys?.has(kid)) await this.refresh(issuer, cached)
    return usableKey(cached, kid, algorithm)
  }

  async findKey(client: KeyHolder, isIt: (key: PublicJwk) => boolean): Promise<PublicJwk | undefined> {
    const cached = await this.freshKeysOf(client)
    const found = () => [...(cached.keys?.values() ?? [])].find(isIt)
    if (found() === undefined) await this.refresh(client, cached)
    return found()
  }

  private async freshKeysOf(issuer: KeyHolder): Promise<CachedIssuer> {
    const cached = this.cachedFor(issuer)
    if (this.ageOf(cached) >= LIMITS.issuerKeysFreshSeconds) await this.renew(issuer, cached)
    if (this.ageOf(cached) > LIMITS.issuerKeysStaleSeconds) throw unavailable(issuer, cached.failure)
    return cached
  }

  /** Waits for keys that are due, but not again and again for an issuer that is known to fail. */
  private async renew(issuer: KeyHolder, cached: CachedIssuer): Promise<void> {
    const renewed = this.refresh(issuer, cached)
    const isUsable = this.ageOf(cached) <= LIMITS.issuerKeysStaleSeconds
    if (!(isUsable && cached.failure !== undefined)) await renewed
  }

  private cachedFor(issuer: KeyHolder): CachedIssuer {
    const known = this.issuers.get(issuer.issuer)
    if (known !== undefined) return known
    const never = Number.NEGATIVE_INFINITY
    const inline = issuer.keys.kind === 'inline' ? readJwks({ keys: issuer.keys.keys }) : undefined
    const made: CachedIssuer = {
      keys: inline,
      fetchedAt: never,
      attemptedAt: never,
      fetching: undefined,
      failure: undefined,
      imported: new Map(),
    }
    this.issuers.set(issuer.issuer, made)
    return made
  }

  private ageOf(cached: CachedIssuer): number {
    return this.now() - cached.fetchedAt
  }

  /** Asks the issuer, unless it was asked within the last 30 s. A failure leaves the cache as it was. */
  private async refresh(issuer: KeyHolder, cached: CachedIssuer): Promise<void> {
    if (issuer.keys.kind === 'inline') {
      cached.fetchedAt = this.now()
      return
    }
    if (cached.fetching === undefined && this.now() - cached.attemptedAt < LIMITS.unknownKeyCooldownSeconds)
      return
    cached.attemptedAt = cached.fetching === undefined ? this.now() : cached.attemptedAt
    cached.fetching ??= this.fetchInto(issuer, cached).finally(() => {
      cached.fetching = undefined
    })
    await cached.fetching
  }

  private async fetchInto(issuer: KeyHolder, cached: CachedIssuer): Promise<void> {
    try {
      const deadline = AbortSignal.timeout(DEADLINE_MS)
      const keys = readJwks(await this.fetchJson(await this.jwksUriOf(issuer, deadline), deadline))
      if (keys === undefined) throw new Error('the JWK Set has no usable key')
      cached.keys = keys
      cached.fetchedAt = this.now()
      cached.imported = new Map()
      cached.failure = undefined
    } catch (error) {
      // Last good keys stay, as long as they may; without them the caller finds nothing fresh enough and says so.
      cached.failure = error
      this.onFailure(issuer, error)
    }
  }

  private async jwksUriOf(issuer: KeyHolder, deadline: AbortSignal): Promise<string> {
    const standIn = this.standIns[issuer.issuer]
    if (issuer.keys.kind === 'jwks_uri' && standIn === undefined) return issuer.keys.uri
    const base = (standIn ?? issuer.issuer).replace(/\/$/, '')
    const metadata = (await this.fetchJson(`${base}/.well-known/openid-configuration`, deadline)) as {
      readonly issuer?: unknown
      readonly jwks_uri?: unknown
    } | null
    // OpenID Connect Discovery §4.3: a document that names another issuer is not this one's.
    if (metadata?.issuer !== issuer.issuer) throw new Error('the discovery document names another issuer')
    if (typeof metadata.jwks_uri !== 'string') throw new Error('the discovery document has no jwks_uri')
    return metadata.jwks_uri
  }
}

async function usableKey(
  cached: CachedIssuer,
  kid: string,
  algorithm: string,
): Promise<VerificationKey | undefined> {
  // Held on to: a fetch that ends meanwhile replaces both, and an old key must not enter the new map.
  const { keys, imported } = cached
  const key = keys?.get(kid)
  if (key === undefined || !fitsAlgorithm(key, algorithm)) return undefined
  const name = `${algorithm} ${kid}`
  const ready = imported.get(name) ?? (await importPublicKey(key, algorithm))
  if (ready !== undefined) imported.set(name, ready)
  return ready
}

function unavailable(issuer: KeyHolder, cause: unknown): DependencyUnavailable {
  return new DependencyUnavailable('issuer-keys', `the keys of ${issuer.id} cannot be read`, { cause })
}
