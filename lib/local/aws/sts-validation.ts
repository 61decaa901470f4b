import { AwsError, constraintViolation, type JsonObject } from './aws-error.ts'
import { objectsAt, textAt, textsAt } from './service.ts'

/** What both ways to assume a role take. */
export interface RoleRequest {
  readonly roleArn: string
  readonly sessionName: string
  readonly durationSeconds: number
  /** The session policy as it was sent. */
  readonly policy: string | undefined
  readonly policyArns: readonly string[]
}

/** Session tags, as a request or a web identity token gives them. */
export interface SessionTags {
  readonly tags: Readonly<Record<string, string>>
  readonly transitive: readonly string[]
}

const ROLE_ARN = /^arn:(?:aws|aws-cn|aws-us-gov):iam::\d{12}:role\/(?:[\x21-\x7e]{1,510}\/)?[\w+=,.@-]{1,64}$/
const NAME_CHARACTERS = /^[\w+=,.@-]*$/
const EXTERNAL_ID_CHARACTERS = /^[\w+=,.@:/-]*$/
const TAG_CHARACTERS = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u
const NAME_PATTERN = '[\\w+=,.@-]*'
const POLICY_CHARACTERS = /^[\t\n\r\x20-\xff]+$/
const MOST_POLICY_CHARACTERS = 2048
const MOST_TAGS = 50
/** The packed size is measured on compressed bytes by a rule that AWS keeps to itself. */
const PACKED_BYTES = 4096

/** Reads what AssumeRole and AssumeRoleWithWebIdentity have in common. Throws as STS would answer. */
export function readRoleRequest(input: JsonObject): RoleRequest {
  const request = {
    sessionName: requiredText(input, 'RoleSessionName', 2, 64, NAME_CHARACTERS, NAME_PATTERN),
    roleArn: requiredText(input, 'RoleArn', 20, 2048),
    durationSeconds: durationOf(input),
    policy: policyOf(input),
    policyArns: objectsAt(input, 'PolicyArns').map((policy) => textAt(policy, 'arn') ?? ''),
  }
  if (!ROLE_ARN.test(request.roleArn)) throw invalid(`${request.roleArn} is invalid`)
  return request
}

/** The source identity, if there is one. */
export function readSourceIdentity(value: string | undefined): string | undefined {
  if (value !== undefined) checkText('SourceIdentity', value, 2, 64, NAME_CHARACTERS, NAME_PATTERN)
  return value
}

/** The external id, if there is one. */
export function readExternalId(value: string | undefined): string | undefined {
  if (value !== undefined) checkText('ExternalId', value, 2, 1224, EXTERNAL_ID_CHARACTERS, '[\\w+=,.@:\\/-]*')
  return value
}

/** The web identity token: its size only, what it says is for the caller's hook to judge. */
export function readWebIdentityToken(input: JsonObject): string {
  return requiredText(input, 'WebIdentityToken', 4, 20_000)
}

/** `Tags` and `TransitiveTagKeys` of AssumeRole. */
export function readSessionTags(input: JsonObject): SessionTags {
  const tags = objectsAt(input, 'Tags').map(
    (tag) => [textAt(tag, 'Key') ?? '', textAt(tag, 'Value') ?? ''] as const,
  )
  return checkSessionTags(tags, textsAt(input, 'TransitiveTagKeys'))
}

/** Checks tags from wherever they come. Keys do not distinguish case. Throws as STS would answer. */
export function checkSessionTags(
  tags: readonly (readonly [key: string, value: string])[],
  transitive: readonly string[],
): SessionTags {
  if (tags.length > MOST_TAGS) {
    throw invalid(
      constraintViolation('[…]', 'tags', `Member must have length less than or equal to ${MOST_TAGS}`),
    )
  }
  tags.forEach(([key, value], index) => {
    checkTag(key, value, `tags.${index + 1}.member`)
  })
  const keys = new Set(tags.map(([key]) => key.toLowerCase()))
  if (keys.size < tags.length) {
    throw badParameter('Duplicate tag keys found. Please note that Tag keys are case insensitive.')
  }
  if (transitive.some((key) => !keys.has(key.toLowerCase()))) {
    throw badParameter('The specified transitive tag key must be included in the requested tags.')
  }
  return { tags: Object.fromEntries(tags), transitive }
}

/** How full the packed policy and tags are, in percent. Throws `PackedPolicyTooLarge` above 100. */
export function packedPolicySize(policy: string | undefined, { tags }: SessionTags): number | undefined {
  const bytes = Buffer.byteLength(policy ?? '') + Buffer.byteLength(Object.entries(tags).flat().join(''))
  const percent = Math.ceil((bytes * 100) / PACKED_BYTES)
  if (percent > 100) {
    throw new AwsError(
      'PackedPolicyTooLarge',
      `Packed policy consumes ${percent}% of allotted space, please use smaller policy.`,
    )
  }
  return bytes === 0 ? undefined : percent
}

function checkTag(key: string, value: string, member: string): void {
  checkText(`${member}.key`, key, 1, 128, TAG_CHARACTERS, '[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+')
  checkText(`${member}.value`, value, 0, 256, TAG_CHARACTERS, '[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*')
  if (key.toLowerCase().startsWith('aws:')) {
    throw badParameter('Tag keys that start with aws: are reserved for system use.')
  }
}

function durationOf(input: JsonObject): number {
  const text = textAt(input, 'DurationSeconds') ?? '3600'
  const seconds = Number(text)
  if (!/^\d+$/.test(text)) throw new AwsError('MalformedInput', 'DurationSeconds is not an integer')
  const bound =
    seconds < 900 ? 'greater than or equal to 900' : seconds > 43_200 ? 'less than or equal to 43200' : ''
  if (bound !== '')
    throw invalid(constraintViolation(text, 'durationSeconds', `Member must have value ${bound}`))
  return seconds
}

function policyOf(input: JsonObject): string | undefined {
  const policy = textAt(input, 'Policy')
  if (policy === undefined) return undefined
  checkText(
    'Policy',
    policy,
    1,
    MOST_POLICY_CHARACTERS,
    POLICY_CHARACTERS,
    '[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+',
  )
  try {
    const document: unknown = JSON.parse(policy)
    if (typeof document === 'object' && document !== null && 'Statement' in document) return policy
  } catch {
    throw new AwsError('MalformedPolicyDocument', 'This policy contains invalid Json')
  }
  throw new AwsError('MalformedPolicyDocument', 'Syntax errors in policy.')
}

function requiredText(
  input: JsonObject,
  name: string,
  least: number,
  most: number,
  characters?: RegExp,
  pattern = '',
): string {
  const value = textAt(input, name)
  if (value === undefined)
    throw invalid(
      constraintViolation('null', memberOf(name), 'Member must not be null').replace("'null'", 'null'),
    )
  checkText(name, value, least, most, characters, pattern)
  return value
}

function checkText(
  name: string,
  value: string,
  least: number,
  most: number,
  characters: RegExp = /^/,
  pattern = '',
): void {
  const refuse = (constraint: string) => invalid(constraintViolation(value, memberOf(name), constraint))
  if (value.length > most) throw refuse(`Member must have length less than or equal to ${most}`)
  if (value.length < least) throw refuse(`Member must have length greater than or equal to ${least}`)
  if (!characters.test(value)) throw refuse(`Member must satisfy regular expression pattern: ${pattern}`)
}

/** AWS writes member names with a small first letter. */
function memberOf(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1)
}

function invalid(message: string): AwsError {
  return new AwsError('ValidationError', message)
}

function badParameter(message: string): AwsError {
  return new AwsError('InvalidParameterValue', message)
}
