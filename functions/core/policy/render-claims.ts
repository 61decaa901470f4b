import type { JsonObject, JsonValue } from '../types.ts'
import { claimAt } from './claims.ts'
import type { Grant, Template } from './compiled.ts'

/** The grant's template for `claim` inserts a claim that the token lacks, or one that does not fit into a text. */
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

/** The mapped claims of an issued token. Texts, numbers and booleans can be inserted; all else refuses the exchange. */
export function renderClaims(grant: Grant, claims: JsonObject): RenderedClaims | ClaimRefusal {
  const rendered: Record<string, string> = Object.create(null)
  for (const [name, parts] of Object.entries(grant.claims)) {
    const text = renderTemplate(parts, claims)
    if (text === undefined || text.length > MAX_CLAIM_CHARACTERS)
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
