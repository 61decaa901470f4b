import { LIMITS } from './limits.ts'
import type { JsonObject, JsonScalar, JsonValue } from './types.ts'

/**
 * Reads a JSON object as RFC 8259 defines it, and refuses what parsers disagree about: duplicate names, lone
 * surrogates, numbers that a double cannot hold exactly or at all, a byte order mark, more than 16 levels or 200 names.
 * Objects come back without a prototype. Returns `undefined` for anything refused.
 */
export function parseStrictObject(text: string): JsonObject | undefined {
  const reader = new Reader(text)
  try {
    const value = reader.value(1)
    reader.end()
    return isJsonObject(value) ? value : undefined
  } catch (error) {
    if (error instanceof NotStrictJson) return undefined
    throw error
  }
}

/** Whether a JSON value is an object, neither array nor scalar. */
export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

class NotStrictJson extends Error {}

const SPACE = /[ \t\n\r]*/y
const STRING = /"([^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\u0000-\u001f]*)*)"/y
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
const WORDS: readonly (readonly [string, JsonScalar])[] = [
  ['true', true],
  ['false', false],
  ['null', null],
]

class Reader {
  private at = 0
  private names = 0
  private readonly text: string

  constructor(text: string) {
    this.text = text
  }

  value(depth: number): JsonValue {
    this.skipSpace()
    const character = this.text[this.at]
    if (character === '{') return this.object(depth)
    if (character === '[') return this.array(depth)
    if (character === '"') return this.string()
    const word = WORDS.find(([text]) => this.text.startsWith(text, this.at))
    return word === undefined ? this.number() : this.word(word)
  }

  end(): void {
    this.skipSpace()
    if (this.at !== this.text.length) throw new NotStrictJson()
  }

  private object(depth: number): JsonObject {
    this.enter(depth)
    const object: Record<string, JsonValue> = Object.create(null)
    if (this.takes('}')) return object
    do {
      this.skipSpace()
      const name = this.string()
      if (name in object || ++this.names > LIMITS.claims) throw new NotStrictJson()
      this.expect(':')
      object[name] = this.value(depth + 1)
    } while (this.takes(','))
    this.expect('}')
    return object
  }

  private array(depth: number): readonly JsonValue[] {
    this.enter(depth)
    const array: JsonValue[] = []
    if (this.takes(']')) return array
    do array.push(this.value(depth + 1))
    while (this.takes(','))
    this.expect(']')
    return array
  }

  private string(): string {
    const match = this.match(STRING)
    if (match === null) throw new NotStrictJson()
    const raw = match[1] ?? ''
    const value = raw.includes('\\') ? (JSON.parse(match[0]) as string) : raw
    if (!isWellFormed(value)) throw new NotStrictJson()
    return value
  }

  private number(): number {
    const match = this.match(NUMBER)
    if (match === null) throw new NotStrictJson()
    const value = Number(match[0])
    // Beyond 2^53 two different ids would compare equal; beyond 1e308 a time would be infinite, below 1e-323 it would be 0.
    if (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value)))
      throw new NotStrictJson()
    if (value === 0 && /^-?[0.]*[1-9]/.test(match[0])) throw new NotStrictJson()
    return value
  }

  private word([text, value]: (typeof WORDS)[number]): JsonScalar {
    this.at += text.length
    return value
  }

  private enter(depth: number): void {
    if (depth > LIMITS.jsonDepth) throw new NotStrictJson()
    this.at++
  }

  private takes(character: string): boolean {
    this.skipSpace()
    if (this.text[this.at] !== character) return false
    this.at++
    return true
  }

  private expect(character: string): void {
    if (!this.takes(character)) throw new NotStrictJson()
  }

  private skipSpace(): void {
    this.match(SPACE)
  }

  private match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.at
    const match = pattern.exec(this.text)
    if (match !== null) this.at = pattern.lastIndex
    return match
  }
}

/** Whether a string has no lone surrogate. */
function isWellFormed(value: string): boolean {
  return !/\p{Surrogate}/u.test(value)
}
