import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { PRESET_NAMES } from '../../../functions/core/policy/presets.ts'
import { policySchema } from '../../../functions/core/policy/schema.ts'
import { withKeyTables } from '../../../lib/policy-reference.ts'

/** Without its examples, which name nothing. */
const REFERENCE = readFileSync('docs/policy.md', 'utf8').replace(/^```.*?^```$/gms, '')

interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly additionalProperties?: JsonSchema | boolean
  readonly items?: JsonSchema
  readonly anyOf?: readonly JsonSchema[]
  readonly enum?: readonly string[]
}

const parts = z.toJSONSchema(policySchema, { target: 'draft-7', io: 'input' }) as JsonSchema

/** A JWK is RFC 7517's matter, not a part of the language. */
const isOurs = (path: string) => !path.includes('keys.')

/** Every key below `schema`, with its path; ids and list places are not keys. */
function keysIn(schema: JsonSchema, path = ''): readonly string[] {
  const inner = [schema.additionalProperties, schema.items, ...(schema.anyOf ?? [])]
  return [
    ...Object.entries(schema.properties ?? {}).flatMap(([key, value]) => [
      `${path}${key}`,
      ...keysIn(value, `${path}${key}.`),
    ]),
    ...inner.flatMap((part) => (typeof part === 'object' ? keysIn(part, path) : [])),
  ]
}

function valuesIn(schema: JsonSchema): readonly string[] {
  const inner = [schema.additionalProperties, schema.items, ...(schema.anyOf ?? [])]
  const all = [...inner, ...Object.values(schema.properties ?? {})]
  return [...(schema.enum ?? []), ...all.flatMap((part) => (typeof part === 'object' ? valuesIn(part) : []))]
}

/** What the reference says of a part: from its heading to the next of the same rank, and what is not available. */
function sectionOf(part: string): string {
  const [, section = ''] = REFERENCE.split(`\n## \`${part}\`\n`)
  const [, unavailable = ''] = REFERENCE.split('\n## Not available in this version\n')
  return [section, unavailable].map((text) => text.split('\n## ')[0]).join('\n')
}

/** Whether a text has a word in code, alone, at the end of a path, or as a key of a map. */
function names(text: string, word: string): boolean {
  const code = [...text.matchAll(/`([^`]+)`/g)].map(([, span = '']) => span)
  return code.some((span) => span.split(/[\s.,:{}[\]|]+/).includes(word))
}

describe('docs/policy.md', () => {
  const tables = Object.entries(parts.properties ?? {})

  it.each(tables)('names every key of %s in its own section', (part, schema) => {
    const keys = keysIn(schema).filter(isOurs)
    expect(keys.length).toBeGreaterThan(1)
    const section = sectionOf(part)
    expect(keys.filter((path) => !names(section, path.split('.').at(-1) ?? ''))).toEqual([])
  })

  it('names every preset', () => {
    expect(PRESET_NAMES.filter((preset) => !names(sectionOf('issuers'), preset))).toEqual([])
  })

  it('has the current tables of keys', () => {
    const text = readFileSync('docs/policy.md', 'utf8')
    // Not current? npm run generate
    expect(withKeyTables(text)).toBe(text)
    expect(() => withKeyTables(text.replace('<!-- keys of grants -->', ''))).toThrow(
      'no place for the keys of grants',
    )
  })

  it('names every value that a key can only have from a list', () => {
    const values = valuesIn(parts).filter((value) => !/^(?:[RPE]S\d{3}|mtls|dpop)$/.test(value))
    expect(values).toContain('once-per-target')
    expect(values.filter((value) => !names(REFERENCE, value))).toEqual([])
  })
})
