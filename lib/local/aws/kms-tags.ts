import { AwsError, type JsonObject } from './aws-error.ts'
import { objectsAt, textAt } from './service.ts'

const MOST_TAGS = 50

/** The tags that result from adding the request's `Tags`. Throws `TagException` for what KMS does not accept. */
export function withTags(
  existing: Readonly<Record<string, string>>,
  input: JsonObject,
): Readonly<Record<string, string>> {
  const given = objectsAt(input, 'Tags').map((tag) => [
    textAt(tag, 'TagKey') ?? '',
    textAt(tag, 'TagValue') ?? '',
  ])
  for (const [key = '', value = ''] of given) checkTag(key, value)
  if (new Set(given.map(([key]) => key)).size < given.length) throw tagError('Duplicate tag keys')
  const tags = { ...existing, ...Object.fromEntries(given) }
  if (Object.keys(tags).length > MOST_TAGS) throw new AwsError('LimitExceededException', 'Too many tags')
  return tags
}

function checkTag(key: string, value: string): void {
  if (key.length < 1 || key.length > 128) throw tagError('A tag key must have 1 to 128 characters')
  if (value.length > 256) throw tagError('A tag value must have at most 256 characters')
  if (key.toLowerCase().startsWith('aws:')) throw tagError('A tag key must not begin with aws:')
}

function tagError(message: string): AwsError {
  return new AwsError('TagException', message)
}
