import type { JsonObject, JsonValue } from '../types.ts'
import { claimAt } from './claims.ts'
import type { Grant, Template } from './compiled.ts'

/** The grant's template for `claim` inserts a claim that the token lacks, or one that does not fit into a text, or into ours. */
export interface ClaimRefusal {
  readonly kind: 'claim_not_insertable'
  readonly claim: string
}

export interface RenderedClaims {
  readonly kind: 'rendered'
  readonly claims: Readonly<Record<string, string>>
}

/** Longest text that a mapped claim may become. */
const MAX_CLAIM_CHARACTERS = 1024

/**
 * What ends a line, moves a cursor or turns the direction of text (UAX 9). We vouch for mapped claims: whoever logs one, shows
 * it or puts it into a header must not be fooled by what somebody could name a branch.
 */
const MISLEADING = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u

/** Whether a text could be taken for another, or for more than one, where it is logged or shown. */
export function isMisleading(text: string): boolean {
  return MISLEADING.test(text)
}

/** The mapped claims of an issued token. Texts, numbers and booleans can be inserted; all else refuses the exchange. */
export function renderClaims(grant: Grant, claims: JsonObject): RenderedClaims | ClaimRefusal {
  const rendered: Record<string, string> = Object.create(null)
  for (const [name, parts] of Object.entries(grant.claims)) {
    const text = renderTemplate(parts, claims)
    if (text === undefined || text.length > MAX_CLAIM_CHARACTERS || isMisleading(text))
      return { kind: 'claim_not_insertable', claim: name }
    rendered[name] = text
  }
  return { kind: 'rendered', claims: rendered }
}

/** The template with its claims inserted, or `undefined` if one is missing or no text, number or boolean. */
export function renderTemplate(template: Template, claims: JsonObject): string | undefined {
  const texts = template.map((part) => (typeof part === 'string' ? part : claimText(claims, part.path)))
  return texts.includes(undefined) ? undefined : texts.join('')
}

/** The text of one claim that can be inserted. */
export function claimText(claims: JsonObject, path: readonly string[]): string | undefined {
  const claim: JsonValue | undefined = claimAt(claims, path)
  // `typeof null` is 'object' too.
  return claim === undefined || typeof claim === 'object' ? undefined : String(claim)
}
