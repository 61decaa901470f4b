import type { JsonObject } from './aws-error.ts'
import { asObject, textAt, textsAt } from './service.ts'
import { checkSessionTags, type SessionTags } from './sts-validation.ts'

const TAGS_CLAIM = 'https://aws.amazon.com/tags'
const SOURCE_IDENTITY_CLAIM = 'https://aws.amazon.com/source_identity'

/** What conditions and the answer call the audience: `azp` where the token has one. */
export function audiencesOf(claims: JsonObject): readonly string[] {
  const [azp, aud] = [textAt(claims, 'azp'), textAt(claims, 'aud')]
  if (azp !== undefined) return [azp]
  return aud === undefined ? textsAt(claims, 'aud') : [aud]
}

/** The session tags that a web identity token carries for AWS: each value is an array of one. */
export function tagsOfClaims(claims: JsonObject): SessionTags {
  const claim = asObject(claims[TAGS_CLAIM])
  const tags = Object.entries(asObject(claim['principal_tags'])).map(
    ([key, values]) => [key, Array.isArray(values) ? String(values[0]) : String(values)] as const,
  )
  return checkSessionTags(tags, textsAt(claim, 'transitive_tag_keys'))
}

/** The source identity that it carries, unchecked. */
export function sourceIdentityOfClaims(claims: JsonObject): string | undefined {
  return textAt(claims, SOURCE_IDENTITY_CLAIM)
}
