/**
 * What STS accepts, in characters unless the name says otherwise: checked when a policy compiles, and again with the
 * claims of a token in it. A value that does not fit is refused, never cut.
 */
export const AWS_RULES = {
  /** One role, by its whole name: the account, and no wildcard. */
  roleArn: /^arn:aws(?:-cn|-us-gov)?:iam::\d{12}:role\/(?:[\w+=,.@-]+\/)*[\w+=,.@-]{1,64}$/,
  roleArnCharacters: 2048,
  /** Of a session's name and of a source identity. */
  name: /^[\w+=,.@-]{2,64}$/,
  tagCharacters: /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u,
  tags: 50,
  tagKeyCharacters: 128,
  tagValueCharacters: 256,
  externalId: /^[\w+=,.@:/-]{2,1224}$/,
  policyCharacters: 2048,
  policyAlphabet: /^[\t\n\r\x20-\xff]+$/,
  /** Policy and tags together, in a packed form that AWS does not describe; unpacked they are longer. */
  packedBytes: 4096,
  session: { min: 900, max: 3600 },
} as const

/**
 * A claim inserted into a session policy: no wildcard or variable of IAM (`* ? $`), no colon, so that no ARN and no part of
 * one begins in it, nothing of JSON's.
 */
export const POLICY_VALUE = /^[\w.@/+=,-]{1,128}$/
export const POLICY_VALUE_CHARACTERS = 128

/** Whether `key` and `value` can be a session tag; keys in `aws:` belong to AWS. */
export function isSessionTag(key: string, value: string): boolean {
  const { tagCharacters, tagKeyCharacters, tagValueCharacters } = AWS_RULES
  if (key === '' || key.length > tagKeyCharacters || value.length > tagValueCharacters) return false
  return !/^aws:/i.test(key) && tagCharacters.test(key) && tagCharacters.test(value)
}
