import { z } from 'zod'
import { policySchema } from '../functions/core/policy/schema.ts'
import { KEY_TEXTS, type KeyText } from './policy-key-texts.ts'

/** As much of a JSON Schema (draft-07) as the language needs. */
export interface JsonSchema {
  readonly type?: string
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: JsonSchema | boolean
  readonly anyOf?: readonly JsonSchema[]
  readonly const?: unknown
  description?: string
  default?: unknown
}

type Table = keyof typeof KEY_TEXTS
type Texts = Readonly<Record<string, KeyText>>

/** The tables of each part of a policy file, in the order of the reference. */
const TABLES_OF: Readonly<Record<string, readonly Table[]>> = {
  defaults: ['defaults'],
  issuers: ['issuers'],
  clients: ['clients'],
  targets: ['targets', 'aws_roles'],
  grants: ['grants'],
}

interface Key {
  readonly path: string
  readonly schema: JsonSchema
  readonly text: KeyText
}

/**
 * The JSON Schema of a policy file, in which each key says what it means, for editors. Throws if a key has no text, or a
 * text no key.
 */
export function describedPolicySchema(): JsonSchema {
  const schema = z.toJSONSchema(policySchema, { target: 'draft-7', io: 'input' }) as JsonSchema
  for (const { schema: key, text } of allKeys(schema)) {
    key.description = plainText(text.means)
    const value = defaultOf(key, text)
    if (value !== undefined) key.default = value
  }
  return schema
}

/** The reference with its tables of keys made anew, each between a comment that names it and the next. */
export function withKeyTables(reference: string): string {
  const keys = allKeys(z.toJSONSchema(policySchema, { target: 'draft-7', io: 'input' }) as JsonSchema)
  return Object.keys(KEY_TEXTS).reduce((text, table) => {
    const [begin, end] = [`<!-- keys of ${table} -->\n`, '<!-- end of keys -->\n']
    const from = text.indexOf(begin)
    const to = text.indexOf(end, from)
    if (from < 0 || to < 0) throw new Error(`the reference has no place for the keys of ${table}: ${begin}`)
    const rows = keyTable(keys.filter((key) => key.table === table))
    return `${text.slice(0, from + begin.length)}${rows}${text.slice(to)}`
  }, reference)
}

function allKeys(schema: JsonSchema): readonly (Key & { readonly table: Table })[] {
  return Object.entries(schema.properties ?? {}).flatMap(([part, of]) => {
    const tables = TABLES_OF[part] ?? []
    const texts = Object.assign({}, ...tables.map((table) => KEY_TEXTS[table])) as Texts
    const entry = typeof of.additionalProperties === 'object' ? of.additionalProperties : of
    const keys = keysOf(entry, texts, { part, path: '', isRequired: true })
    const strange = Object.keys(texts).find((path) => keys.every((key) => key.path !== path))
    if (strange !== undefined) throw new Error(`${part} has a text for ${strange}, which is no key of it`)
    return keys.map((key) => ({
      ...key,
      table: tables.find((table) => key.path in KEY_TEXTS[table]) as Table,
    }))
  })
}

/** The keys of an entry, down to where a text stands. */
function keysOf(
  entry: JsonSchema,
  texts: Texts,
  at: { readonly part: string; readonly path: string; readonly isRequired: boolean },
): readonly Key[] {
  return Object.entries(entry.properties ?? {}).flatMap(([name, schema]) => {
    const path = `${at.path}${name}`
    const isRequired = at.isRequired && (entry.required ?? []).includes(name)
    const text = texts[path]
    if (text === undefined) {
      if (schema.properties === undefined)
        throw new Error(`${at.part}.${path} has no text: write one into lib/policy-key-texts.ts`)
      return keysOf(schema, texts, { part: at.part, path: `${path}.`, isRequired })
    }
    if (isRequired === (text.unset !== undefined))
      throw new Error(
        `${at.part}.${path} is ${isRequired ? '' : 'not '}required, and its text says otherwise`,
      )
    return [{ path, schema, text }]
  })
}

function keyTable(keys: readonly Key[]): string {
  const lines = [...new Set(keys.map(({ text }) => text))].map((text) => {
    const { unset = 'required', means, insertsClaims } = text
    const group = keys.filter((key) => key.text === text)
    const names = group.map(({ path }) => `\`${path}\``).join(', ')
    return `| ${names}${insertsClaims === true ? ' ⧉' : ''} | ${unset} | ${means} |\n`
  })
  return `\n| key | default | meaning |\n|---|---|---|\n${lines.join('')}\n`
}

/** What stands in code in the place of the default, where it is a value that the key can have. */
function defaultOf(schema: JsonSchema, { unset = '' }: KeyText): unknown {
  const [, code] = /^`([^`]+)`$/.exec(unset) ?? []
  if (code === undefined) return undefined
  if (schema.type === 'integer' || schema.type === 'boolean') return JSON.parse(code)
  const isText = schema.type === 'string' || schema.anyOf?.some((one) => one.const === code)
  return isText === true ? code : undefined
}

/** Without what leads nowhere from an editor. */
function plainText(markdown: string): string {
  return markdown.replace(/\[([^\]]+)\]\([^)]+\)/g, '$1').replaceAll('see below', 'see docs/policy.md')
}
