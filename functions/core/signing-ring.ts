import type { DelegatedKey, ManifestKey } from './key-lifecycle.ts'
import { DELEGATED_RING } from './key-times.ts'
import type { TokenTarget } from './policy/compiled.ts'
import type { RingName } from './types.ts'

/** The ring that signs the target's tokens. There is no second choice: a target whose ring cannot sign gets no token. */
export function ringOfTarget({ signing, algorithm }: Pick<TokenTarget, 'signing' | 'algorithm'>): RingName {
  return signing === 'delegated' ? DELEGATED_RING : algorithm
}

/** The ring whose manifest has the key. */
export function ringOfKey(key: ManifestKey): RingName {
  return isDelegated(key) ? DELEGATED_RING : key.algorithm
}

/** Whether the private half is, encrypted, in the manifest, and not in KMS. */
export function isDelegated(key: ManifestKey): key is DelegatedKey {
  return 'attestation' in key
}
