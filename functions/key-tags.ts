/**
 * Tags by which IAM and the rotation tell a signing key from every other KMS key of the account: the stacks write them
 * into conditions, the rotation puts them on the keys that it creates.
 */
export const KEY_TAGS = {
  purpose: 'token-broker:purpose',
  stage: 'token-broker:stage',
  /** The ring, for example `RS256`. */
  ring: 'token-broker:ring',
  /** The manifest entry that the key was made for. */
  reservation: 'token-broker:reservation',
} as const

/**
 * What a delegated key's private half is bound to when KMS encrypts it (AES-GCM's additional data): it cannot be decrypted
 * as anything else, and IAM sees it in each call.
 */
export function delegatedKeyContext(stage: string) {
  return {
    [KEY_TAGS.purpose]: 'delegated-signing',
    [KEY_TAGS.stage]: stage,
    [KEY_TAGS.ring]: 'delegated-ES256',
  }
}

/** Value of {@link KEY_TAGS}`.purpose` on the keys that sign tokens. */
export const TOKEN_SIGNING = 'token-signing'

/** Value of {@link KEY_TAGS}`.purpose` on the key that signs the probe's own tokens. */
export const PROBE_SIGNING = 'probe'

/** Value of {@link KEY_TAGS}`.purpose` on the key that signs checkpoints of the audit trail. */
export const AUDIT_CHECKPOINTS = 'audit-checkpoints'
