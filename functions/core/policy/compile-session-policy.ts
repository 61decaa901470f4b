import type { EntryReport } from './checks.ts'
import type { SessionPolicy, SessionStatement, Template } from './compiled.ts'
import { foundInsteadOf, type PolicyPath } from './finding.ts'
import type { SessionPolicySource } from './schema.ts'
import { parseTemplate } from './template.ts'

type StatementSource = SessionPolicySource['Statement'][number]

/** The statements of a session policy. Reports what IAM would refuse, and a claim where it could change what is allowed. */
export function compileSessionPolicy(
  source: SessionPolicySource,
  options: { readonly hasDeadline: boolean },
  report: EntryReport,
): SessionPolicy {
  return source.Statement.map((statement, at) => {
    const here: EntryReport = (path, message) => report(['session_policy', 'Statement', at, ...path], message)
    checkElements(statement, here)
    if (options.hasDeadline) checkDeadline(statement, here)
    return compileStatement(statement, here)
  })
}

function checkElements(statement: StatementSource, report: EntryReport): void {
  for (const [element, opposite] of [
    ['Action', 'NotAction'],
    ['Resource', 'NotResource'],
  ] as const)
    if ((statement[element] === undefined) === (statement[opposite] === undefined))
      report([element], `found both or neither of ${element} and ${opposite}; allowed: one of them`)
  for (const [path, text] of fixedTexts(statement))
    if (splitVariables(text).some((piece) => /[{}]/.test(piece.literal)))
      report(path, foundInsteadOf(text, 'a claim only in Resource and in the values of Condition'))
}

/** What would reach IAM with its braces. */
function fixedTexts(statement: StatementSource): readonly (readonly [PolicyPath, string])[] {
  const { Condition = {} } = statement
  const listed = (['Sid', 'Action', 'NotAction', 'NotResource'] as const).flatMap((element) =>
    textsOf(statement[element]).map((text, at) => [[element, at], text] as const),
  )
  const names = Object.entries(Condition).flatMap(([operator, keys]) => [
    [['Condition', operator], operator] as const,
    ...Object.keys(keys).map((key) => [['Condition', operator, key], key] as const),
  ])
  return [...listed, ...names]
}

/** The deadline is written there: another would be overwritten. */
function checkDeadline({ Condition = {} }: StatementSource, report: EntryReport): void {
  for (const key of Object.keys(Condition['DateLessThan'] ?? {}))
    if (key.toLowerCase() === 'aws:currenttime')
      report(
        ['Condition', 'DateLessThan', key],
        'found a deadline beside `outlive: deadline`; allowed: one of them',
      )
}

function compileStatement(source: StatementSource, report: EntryReport): SessionStatement {
  const { Sid, Effect, Action, NotAction, Resource, NotResource, Condition } = source
  return {
    ...(Sid !== undefined && { Sid }),
    Effect,
    ...(Action !== undefined && { Action: textsOf(Action) }),
    ...(NotAction !== undefined && { NotAction: textsOf(NotAction) }),
    ...(Resource !== undefined && {
      Resource: textsOf(Resource).map((text, at) => resourceTemplate(text, ['Resource', at], report)),
    }),
    ...(NotResource !== undefined && { NotResource: textsOf(NotResource) }),
    ...(Condition !== undefined && { Condition: compileCondition(Condition, report) }),
  }
}

function compileCondition(
  condition: NonNullable<StatementSource['Condition']>,
  report: EntryReport,
): NonNullable<SessionStatement['Condition']> {
  return Object.fromEntries(
    Object.entries(condition).map(([operator, keys]) => {
      const templates = Object.entries(keys).map(([key, values]) => [
        key,
        textsOf(values).map((text, at) => templateOf(text, ['Condition', operator, key, at], report)),
      ])
      return [operator, Object.fromEntries(templates) as Readonly<Record<string, readonly Template[]>>]
    }),
  )
}

/** Which account, service and kind of resource it is, policy alone says: a claim comes after the fifth colon. */
function resourceTemplate(text: string, path: PolicyPath, report: EntryReport): Template {
  const template = templateOf(text, path, report)
  const [before = '', ...claims] = splitVariables(text)
    .map(({ literal }) => literal)
    .join('')
    .split('{')
  if (claims.length > 0 && before.split(':').length < 6)
    report(path, foundInsteadOf(text, 'a claim only in the last part of an ARN, after arn:…:…:…:…:'))
  return template
}

function templateOf(text: string, path: PolicyPath, report: EntryReport): Template {
  const parts = splitVariables(text).map(({ literal, variable }) =>
    variable === undefined ? parseTemplate(literal) : [variable],
  )
  if (parts.includes(undefined))
    report(path, foundInsteadOf(text, 'text with {claim}, {/pointer/to/claim} or variables of IAM in it'))
  return parts.flatMap((part) => part ?? [])
}

/** Cuts out the variables of IAM, `${aws:PrincipalTag/team}`, which AWS fills in: their braces are not ours. */
function splitVariables(text: string): readonly { readonly literal: string; readonly variable?: string }[] {
  return text
    .split(/(\$\{[^{}]*\})/)
    .map((piece, at) => (at % 2 === 1 ? { literal: '', variable: piece } : { literal: piece }))
}

function textsOf(texts: string | readonly string[] | undefined): readonly string[] {
  if (texts === undefined) return []
  return typeof texts === 'string' ? [texts] : texts
}
