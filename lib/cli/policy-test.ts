import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { type Explanation, explainExchange } from '../../functions/core/explain.ts'
import type { PolicyIndex } from '../../functions/core/policy/decide.ts'
import { visible } from '../../functions/core/policy/finding.ts'
import type { ClientId } from '../../functions/core/types.ts'
import { TEST_FILE } from '../policy-folder.ts'
import { type Command, CommandFailed } from './command.ts'
import { askedFor, IDENTITY, OWN_ISSUER, presentedClaims, readDataFile } from './identity.ts'
import { loadFor, POLICY_OPTION } from './policy-source.ts'
import { candidateText, refusalText } from './refusal-text.ts'
import { asciiJson } from './terminal.ts'

const EXPECTATION = '{grant: <id>, scopes: […], claims: {…}} or {refused: <reason>}'
const text = z.string('a text').optional()
const texts = z.array(z.string('a text'), 'a list of texts')
const expectation = z.union(
  [
    z.strictObject(
      {
        grant: z.string(EXPECTATION),
        scopes: texts.optional(),
        claims: z.record(z.string(), z.string('a text'), 'a map of texts').optional(),
      },
      EXPECTATION,
    ),
    z.strictObject({ refused: z.string(EXPECTATION) }, EXPECTATION),
  ],
  EXPECTATION,
)
const example = z.strictObject(
  {
    name: z.string('what the example shows'),
    ...IDENTITY,
    request: z
      .strictObject(
        { audience: text, resource: text, scope: text },
        'a map with the keys audience, resource, scope',
      )
      .default({}),
    expect: expectation,
  },
  'a map with the keys name, issuer, claims, actor, client, request, expect',
)
const NO_EXAMPLES = 'a list of at least one example'

/** The form of a `*.test.yaml` file. `policy/policy-test.schema.json` is made from it. */
export const EXAMPLES = z.strictObject(
  { tests: z.array(example, NO_EXAMPLES).min(1, NO_EXAMPLES) },
  'a map with the key tests',
)

type Example = z.output<typeof example>

interface Result {
  readonly file: string
  readonly name: string
  /** What is not as expected; `undefined` for an example that holds. */
  readonly problem: string | undefined
}

export const policyTest: Command = {
  path: ['policy', 'test'],
  summary: 'check the examples beside a policy: who gets what, and who must not',
  details:
    'Examples stand in *.test.yaml in the folder of the policy: a list tests of {name, issuer, claims, actor, client, request, expect}.',
  example: 'npx token-broker policy test --policy policy',
  options: POLICY_OPTION,
  run: async ({ text, flag, terminal, now }) => {
    const { folder, index } = loadFor(text('policy'))
    const results = exampleFiles(folder).flatMap((file) =>
      readDataFile(file, EXAMPLES).tests.map(
        (one): Result => ({ file, name: one.name, problem: problemWith(one, index, now()) }),
      ),
    )
    const failed = results.filter(({ problem }) => problem !== undefined)
    if (flag('json')) terminal.out(asciiJson({ folder, results }))
    else {
      for (const { file, name, problem } of failed)
        terminal.out(`${terminal.style('red', 'failed')} ${visible(`${file}: ${name}`)}\n  ${problem}`)
      terminal.out(`${results.length - failed.length} passed, ${failed.length} failed`)
    }
    return failed.length === 0 ? 0 : 1
  },
}

/** A folder without examples fails: a check that looks at nothing must not pass. */
function exampleFiles(folder: string): readonly string[] {
  const files = readdirSync(folder).filter((name) => TEST_FILE.test(name))
  if (files.length > 0) return files.toSorted().map((name) => join(folder, name))
  throw new CommandFailed(
    `${folder} has no example`,
    `write one to ${join(folder, 'policy.test.yaml')}; docs/policy.md shows how`,
  )
}

function problemWith(one: Example, policy: PolicyIndex, now: number): string | undefined {
  const presented = presentedClaims(one, policy, now)
  if ('unknown' in presented) return visible(`the policy has no ${presented.unknown}`)
  const question = { ...presented, clientId: one.client as ClientId | undefined, ...askedFor(one.request) }
  const explanation = explainExchange(policy, question, { now, brokerIssuer: OWN_ISSUER })
  const found = outcomeOf(explanation)
  const wanted = Object.entries(one.expect).filter(([, value]) => value !== undefined)
  const differs = wanted.some(([key, value]) => !isDeepStrictEqual(inAnyOrder(found[key]), inAnyOrder(value)))
  if (!differs) return undefined
  const why = explanation.outcome === 'refused' ? whyRefused({ explanation, ...presented, policy }) : ''
  return `${visible(`expected ${JSON.stringify(one.expect)}, found ${JSON.stringify(found)}`)}${why}`
}

/** Scopes are a set. */
function inAnyOrder(value: unknown): unknown {
  return Array.isArray(value) ? new Set<unknown>(value) : value
}

function whyRefused(question: Parameters<typeof refusalText>[0]): string {
  const lines = [refusalText(question).why, ...question.explanation.candidates.map(candidateText)]
  return lines.map((line) => `\n  ${line}`).join('')
}

function outcomeOf(explanation: Explanation): Readonly<Record<string, unknown>> {
  if (explanation.outcome === 'refused') return { refused: explanation.refusal.kind }
  const { grant, scopes, mappedClaims } = explanation.authorised
  return { grant: grant.id, scopes, claims: { ...mappedClaims } }
}
