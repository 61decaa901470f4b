import type { SessionPolicy, SessionStatement, Template } from './compiled.ts'

/** The text of an inserted claim, or `undefined` if it may not be inserted. */
export type Insert = (path: readonly string[]) => string | undefined

/** Of a role without a policy of its own for the session: all that it may do, where only the deadline narrows it. */
const WHOLE_ROLE: SessionPolicy = [{ Effect: 'Allow', Action: ['*'], Resource: [['*']] }]

/**
 * The IAM policy document of a session, as JSON: built as an object, so that no claim can be anything but a text in it. With
 * a `deadline`, epoch seconds, it allows nothing from then on. Returns `undefined` if a claim cannot be inserted.
 */
export function renderSessionPolicy(
  policy: SessionPolicy = WHOLE_ROLE,
  insert: Insert,
  deadline?: number,
): string | undefined {
  const statements = policy.map((statement) => renderStatement(statement, insert, deadline))
  if (statements.includes(undefined)) return undefined
  return JSON.stringify({ Version: '2012-10-17', Statement: statements })
}

function renderStatement(statement: SessionStatement, insert: Insert, deadline: number | undefined) {
  const { Resource, Condition = {}, ...fixed } = statement
  const resources = Resource && renderAll(Resource, insert)
  const conditions = Object.entries(Condition).map(
    ([operator, keys]) => [operator, renderKeys(keys, insert)] as const,
  )
  if (resources?.includes(undefined) || conditions.some(([, keys]) => keys === undefined)) return undefined
  const limited = deadline !== undefined && statement.Effect === 'Allow'
  const condition = limited
    ? withDeadline(Object.fromEntries(conditions), deadline)
    : Object.fromEntries(conditions)
  return {
    ...fixed,
    ...(resources && { Resource: resources }),
    ...(Object.keys(condition).length > 0 && { Condition: condition }),
  }
}

/** In what is allowed, not beside it as a denial: a context without the time then allows nothing. */
function withDeadline(condition: Readonly<Record<string, object | undefined>>, deadline: number) {
  const until = new Date(deadline * 1000).toISOString().replace('.000Z', 'Z')
  return { ...condition, DateLessThan: { ...condition['DateLessThan'], 'aws:CurrentTime': until } }
}

function renderKeys(keys: Readonly<Record<string, readonly Template[]>>, insert: Insert) {
  const rendered = Object.entries(keys).map(([key, values]) => [key, renderAll(values, insert)] as const)
  if (rendered.some(([, values]) => values.includes(undefined))) return undefined
  return Object.fromEntries(rendered)
}

function renderAll(templates: readonly Template[], insert: Insert): readonly (string | undefined)[] {
  return templates.map((template) => {
    const texts = template.map((part) => (typeof part === 'string' ? part : insert(part.path)))
    return texts.includes(undefined) ? undefined : texts.join('')
  })
}
