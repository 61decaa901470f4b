import type { KMSClient } from '@aws-sdk/client-kms'
import { compactJws } from '../core/access-token.ts'
import { attestationSigningInput } from '../core/key-attestation.ts'
import type { KmsKey, ManifestKey } from '../core/key-lifecycle.ts'
import type { KeyAttester } from '../core/ports.ts'
import { signWithKms } from './kms-signature.ts'

/** Signs with KMS what is said of delegated keys. */
export class KmsKeyAttester implements KeyAttester {
  private readonly client: KMSClient
  private readonly issuer: string
  private readonly now: () => number

  /** `now` in epoch seconds. */
  constructor(client: KMSClient, issuer: string, now: () => number) {
    this.client = client
    this.issuer = issuer
    this.now = now
  }

  async attest(key: Pick<ManifestKey, 'kid' | 'publicJwk'>, by: KmsKey, expiresAt: number): Promise<string> {
    const facts = { issuer: this.issuer, by: by.kid, now: this.now(), expiresAt }
    const signingInput = attestationSigningInput(key, facts)
    return compactJws(signingInput, await signWithKms(this.client, by, signingInput))
  }
}
