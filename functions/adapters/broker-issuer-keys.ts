import { BROKER } from '../core/policy/compiled.ts'
import type { IssuerKeys, KeyHolder, VerificationKey } from '../core/ports.ts'
import { publishedKeys } from '../core/published-keys.ts'
import type { CachedKeyManifests } from './cached-key-manifests.ts'
import { importPublicKey } from './import-public-key.ts'

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
    const ring = algorithm === 'ES256' ? 'ES256' : 'RS256'
    const key = publishedKeys([await this.manifests.current(ring)]).find((published) => published.kid === kid)
    if (key === undefined || key.algorithm !== algorithm) return undefined
    return importPublicKey(key.publicJwk, algorithm)
  }
}
