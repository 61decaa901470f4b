import { importPublicKey } from '../core/import-public-key.ts'
import { isAttested } from '../core/key-attestation.ts'
import type { ManifestKey } from '../core/key-lifecycle.ts'
import { DELEGATED_RING } from '../core/key-times.ts'
import { BROKER } from '../core/policy/compiled.ts'
import type { IssuerKeys, KeyHolder, VerificationKey } from '../core/ports.ts'
import { publishedKeys } from '../core/published-keys.ts'
import { isDelegated } from '../core/signing-ring.ts'
import type { RingName } from '../core/types.ts'
import type { CachedKeyManifests } from './cached-key-manifests.ts'

/** Whose keys sign with an algorithm. In turn: most deployments have no delegated keys. */
const RINGS_OF: Readonly<Record<string, readonly RingName[]>> = {
  RS256: ['RS256'],
  ES256: ['ES256', DELEGATED_RING],
}

/** Finds the broker's own keys in its manifests, without a network call to itself, and everybody else's in `others`. */
export class BrokerIssuerKeys implements IssuerKeys {
  private readonly manifests: CachedKeyManifests
  private readonly others: IssuerKeys

  constructor(manifests: CachedKeyManifests, others: IssuerKeys) {
    this.manifests = manifests
    this.others = others
  }

  async find(issuer: KeyHolder, kid: string, algorithm: string): Promise<VerificationKey | undefined> {
    if (issuer.id !== BROKER) return this.others.find(issuer, kid, algorithm)
    for (const ring of RINGS_OF[algorithm] ?? []) {
      const published = publishedKeys([await this.manifests.current(ring)])
      const key = published.find((each) => each.kid === kid)
      if (key?.algorithm === algorithm && (await this.isOurs(key, issuer)))
        return importPublicKey(key.publicJwk, algorithm)
    }
    return undefined
  }

  /** A delegated key that somebody has planted would verify tokens that we never issued. */
  private async isOurs(key: ManifestKey, { issuer }: KeyHolder): Promise<boolean> {
    if (!isDelegated(key)) return true
    return isAttested(key, await this.manifests.current('ES256'), { issuer, now: this.manifests.now() })
  }
}
