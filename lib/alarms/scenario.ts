import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { formatFinding, inReadingOrder, type PolicyFinding } from '../../functions/core/policy/finding.ts'
import { readSource } from '../../functions/core/policy/schema-findings.ts'
import { parsePolicyFile } from '../policy-yaml.ts'

const DURATION_RULE = 'a time such as 5m, 2h, 3d or 1h30m'
const PERCENT_RULE = 'a part of all, such as 0.02% or 100%'
const COUNT_RULE = 'a number that is not negative'
const METRIC_RULE =
  'a number, none, or {value, times, every}: what is published each minute, how often, every how many minutes'
const INCIDENT_KEYS = 'at, for, requests, failed, slow, metrics'
const MAX_DAYS = 60

const duration = z
  .string(DURATION_RULE)
  .transform((text) => minutesIn(text) ?? Number.POSITIVE_INFINITY)
  .refine((minutes) => minutes <= MAX_DAYS * 24 * 60, `${DURATION_RULE}, at most ${MAX_DAYS} days`)
/** Of no time nothing comes, which nobody means who writes it down. */
const length = duration.refine((minutes) => minutes > 0, `${DURATION_RULE}, more than none`)
const percent = z
  .string(PERCENT_RULE)
  .regex(/^(?:100|\d{1,2}(?:\.\d{1,6})?)%$/, PERCENT_RULE)
  .transform((text) => Number(text.slice(0, -1)) / 100)
const count = z.number(COUNT_RULE).nonnegative(COUNT_RULE).max(1e9, COUNT_RULE)
const hour = z.int('an hour from 0 to 23').min(0, 'an hour from 0 to 23').max(23, 'an hour from 0 to 23')

const METRIC = z.union(
  [
    z.number(),
    z.literal('none'),
    z.strictObject({ value: z.number(), times: count.default(1), every: length.default(1) }, METRIC_RULE),
  ],
  METRIC_RULE,
)
const METRICS = z.record(z.string(), METRIC, 'a map of metric names').default({})

const LOAD = { requests: count.optional(), failed: percent.optional(), slow: percent.optional() }

const INCIDENT = z.strictObject(
  { at: duration, for: length.optional(), ...LOAD, metrics: METRICS },
  `a map with the keys ${INCIDENT_KEYS}`,
)
const NAMES = z.array(z.string(), 'a list of alarm ids').default([])

const SCENARIO_KEYS = 'title, about, starts, lasts, seed, background, nights, incidents, expect'
const FORM = z.strictObject(
  {
    title: z.string('what happens, in a few words'),
    about: z.string('what happens, in a sentence'),
    starts: z.iso.datetime('a time such as 2026-03-02T08:00:00Z').default('2026-03-02T08:00:00Z'),
    lasts: length,
    /** Draws the requests of each minute by chance, with these means. */
    seed: z.int('a whole number').optional(),
    background: z
      .strictObject({ ...LOAD, metrics: METRICS }, 'a map with the keys requests, failed, slow, metrics')
      .prefault({}),
    nights: z
      .strictObject({ from: hour, until: hour, requests: count }, 'a map with the keys from, until, requests')
      .refine(({ from, until }) => from !== until, 'two hours that differ')
      .optional(),
    incidents: z.array(INCIDENT, 'a list of incidents').default([]),
    expect: z.strictObject({ page: NAMES, ticket: NAMES }, 'a map with the keys page, ticket').optional(),
  },
  `a map with the keys ${SCENARIO_KEYS}`,
)

const SCENARIO = FORM.superRefine(({ incidents, lasts }, context) => {
  for (const [index, { at }] of incidents.entries())
    if (at >= lasts)
      context.addIssue({
        code: 'custom',
        path: ['incidents', index, 'at'],
        message: 'a time before the scenario ends, which it does after `lasts`',
      })
})

/** What happens to a broker over some time, and whom the alarms should call. */
export type Scenario = z.output<typeof SCENARIO>
/** What is published of one metric instead of what a healthy broker would. */
export type MetricOverride = z.output<typeof METRIC>

/** A scenario cannot be used. The message has a line, with file, line and column, for everything that is wrong with it. */
export class ScenarioError extends Error {
  override readonly name = 'ScenarioError'
}

/** Reads a scenario file. Throws {@link ScenarioError}. */
export function readScenario(path: string): Scenario {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new ScenarioError(`${path}: cannot be read; --help lists the scenarios`, { cause })
  }
  return parseScenario(path, text)
}

/** Reads the text of a scenario, called `name` in findings. Throws {@link ScenarioError}. */
export function parseScenario(name: string, text: string): Scenario {
  const parsed = parsePolicyFile(name, text)
  if ('findings' in parsed) throw errorFor(parsed.findings)
  const read = readSource(parsed.file, SCENARIO)
  if ('findings' in read) throw errorFor(read.findings)
  return read.source
}

function errorFor(findings: readonly PolicyFinding[]): ScenarioError {
  return new ScenarioError(inReadingOrder(findings).map(formatFinding).join('\n'))
}

const MINUTES_IN: Readonly<Record<string, number>> = { d: 24 * 60, h: 60, m: 1 }

/** The minutes in a time such as `1h30m`; `undefined` for what is none. */
export function minutesIn(text: string): number | undefined {
  if (!/^(?=\d)(?:\d{1,3}d)?(?:\d{1,4}h)?(?:\d{1,5}m)?$/.test(text)) return undefined
  return [...text.matchAll(/(\d+)([dhm])/g)].reduce(
    (sum, [, digits, unit = 'm']) => sum + Number(digits) * (MINUTES_IN[unit] ?? 1),
    0,
  )
}
