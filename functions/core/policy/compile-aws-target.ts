import type { TargetId } from '../types.ts'
import { AWS_RULES, isSessionTag, POLICY_VALUE_CHARACTERS } from './aws-rules.ts'
import { type EntryReport, secondsOf } from './checks.ts'
import { compileSessionPolicy } from './compile-session-policy.ts'
import type { AwsTarget, Template } from './compiled.ts'
import { durationSeconds } from './duration.ts'
import { foundInsteadOf, type PolicyPath } from './finding.ts'
import type { Entry } from './merge.ts'
import type { TargetSource } from './schema.ts'
import { renderSessionPolicy } from './session-policy.ts'
import { parseTemplate } from './template.ts'

/** Keys of a target that only an AWS role has. */
export const AWS_KEYS = [
  'assume',
  'duration',
  'session_name',
  'session_tags',
  'transitive_tags',
  'source_identity',
  'session_policy',
  'external_id',
  'outlive',
] as const satisfies readonly (keyof TargetSource)[]

/** Keys of a target that only tokens have. */
const TOKEN_KEYS = ['resources', 'scopes', 'token'] as const satisfies readonly (keyof TargetSource)[]

const DEFAULT_DURATION = '15m'
/** How much of its limits a policy may fill with its own text. */
const SHARE = 0.8
/** What a claim is taken to add to the packed size, where it could add more, but rarely does. */
const USUAL_CLAIM_CHARACTERS = 32
/** Some moment: all are equally long. */
const SOME_DEADLINE = 0

/** The target for a role. Reports whatever STS would refuse at each request. */
export function compileAwsTarget(
  { id, source }: Entry<TargetSource>,
  roleArn: string,
  report: EntryReport,
): AwsTarget {
  const { assume = 'web-identity', outlive = 'refuse', external_id: externalId } = source
  checkKeys(source, roleArn, report)
  if (externalId !== undefined && assume !== 'role')
    report(['external_id'], 'found external_id with assume: web-identity; allowed: with assume: role')
  if (externalId !== undefined && !AWS_RULES.externalId.test(externalId))
    report(['external_id'], foundInsteadOf(externalId, '2 to 1224 characters a-z, A-Z, 0-9 and +=,.@:/-_'))
  const target: AwsTarget = {
    id: id as TargetId,
    audience: source.audience ?? roleArn,
    resources: [],
    scopes: [],
    format: 'aws-credentials',
    roleArn,
    assume,
    durationSeconds: secondsOf(
      {
        key: ['duration'],
        duration: source.duration ?? DEFAULT_DURATION,
        otherwise: 0,
        ...AWS_RULES.session,
      },
      report,
    ),
    ...(source.session_name !== undefined && {
      sessionName: templateAt(['session_name'], source.session_name, report),
    }),
    sessionTags: compileTags(source, report),
    transitiveTags: source.transitive_tags ?? [],
    ...(source.source_identity !== undefined && {
      sourceIdentity: fixedNameAt(['source_identity'], source.source_identity, report),
    }),
    ...(source.session_policy !== undefined && {
      sessionPolicy: compileSessionPolicy(
        source.session_policy,
        { hasDeadline: outlive === 'deadline' },
        report,
      ),
    }),
    ...(externalId !== undefined && { externalId }),
    outlive,
  }
  checkSizes(target, report)
  return target
}

/** How long the credentials of a target work; where that is out of bounds, which is reported, the nearest bound. */
export function sessionSecondsOf({ duration }: Pick<TargetSource, 'duration'>): number {
  const { min, max } = AWS_RULES.session
  return Math.min(max, Math.max(min, durationSeconds(duration ?? DEFAULT_DURATION)))
}

function checkKeys(source: TargetSource, roleArn: string, report: EntryReport): void {
  if (!AWS_RULES.roleArn.test(roleArn) || roleArn.length > AWS_RULES.roleArnCharacters)
    report(['aws_role'], foundInsteadOf(roleArn, 'the ARN of one role, arn:aws:iam::111122223333:role/NAME'))
  for (const key of TOKEN_KEYS)
    if (source[key] !== undefined)
      report(
        [key],
        `found ${key} beside aws_role; allowed: to leave it out, nothing is issued but credentials`,
      )
}

function compileTags(source: TargetSource, report: EntryReport): AwsTarget['sessionTags'] {
  const { session_tags: tags = {}, transitive_tags: transitive = [] } = source
  const keys = Object.keys(tags)
  if (keys.length > AWS_RULES.tags)
    report(['session_tags'], `found ${keys.length} tags; allowed: at most ${AWS_RULES.tags}`)
  for (const [at, key] of keys.entries())
    if (keys.findIndex((other) => other.toLowerCase() === key.toLowerCase()) < at)
      report(['session_tags', key], `found ${key} twice: AWS does not tell case apart; allowed: once`)
  transitive.forEach((key, at) => {
    if (!keys.includes(key) || transitive.indexOf(key) < at)
      report(['transitive_tags', at], foundInsteadOf(key, 'a key of session_tags, each once'))
  })
  return Object.fromEntries(keys.map((key) => [key, compileTag(key, tags[key] ?? '', report)]))
}

function compileTag(key: string, value: string, report: EntryReport): Template {
  const path = ['session_tags', key]
  const template = templateAt(path, value, report)
  if (!isSessionTag(key, literalOf(template)))
    report(
      path,
      `found a tag that AWS refuses; allowed: a key of 1 to ${AWS_RULES.tagKeyCharacters} and a value of at most ${AWS_RULES.tagValueCharacters} letters, digits, spaces and _.:/=+-@, the key not in aws:`,
    )
  return template
}

/** A template of a text that is never rewritten to fit: what is fixed in it must fit as it stands. */
function fixedNameAt(path: PolicyPath, text: string, report: EntryReport): Template {
  const template = templateAt(path, text, report)
  const isAllFixed = template.every((part) => typeof part === 'string')
  const sample = isAllFixed ? literalOf(template) : `${literalOf(template)}xx`
  if (!AWS_RULES.name.test(sample))
    report(path, foundInsteadOf(text, '2 to 64 characters a-z, A-Z, 0-9 and +=,.@-_, and claims of these'))
  return template
}

function templateAt(path: PolicyPath, text: string, report: EntryReport): Template {
  const template = parseTemplate(text)
  if (template === undefined)
    report(path, foundInsteadOf(text, 'text with {claim} or {/pointer/to/claim} in it, braces in pairs'))
  return template ?? []
}

/** With the longest claims the policy still fits, so that no token's claims can make AWS refuse it. */
function checkSizes(target: AwsTarget, report: EntryReport): void {
  const { sessionPolicy, outlive, sessionTags } = target
  const deadline = outlive === 'deadline' ? SOME_DEADLINE : undefined
  const policyOf = (characters: number) =>
    sessionPolicy === undefined && deadline === undefined
      ? ''
      : (renderSessionPolicy(sessionPolicy, () => 'x'.repeat(characters), deadline) ?? '')
  const own = policyOf(0)
  const most = policyOf(POLICY_VALUE_CHARACTERS)
  if (own.length > AWS_RULES.policyCharacters * SHARE || most.length > AWS_RULES.policyCharacters)
    report(
      ['session_policy'],
      `found ${own.length} characters, and ${most.length} with the longest claims; allowed: ${Math.floor(AWS_RULES.policyCharacters * SHARE)}, and ${AWS_RULES.policyCharacters}`,
    )
  if (own !== '' && !AWS_RULES.policyAlphabet.test(own))
    report(['session_policy'], 'found a character that IAM refuses; allowed: those of Latin-1')
  const tags = Object.entries(sessionTags).map(([key, value]) => key + usualText(value))
  const packed = Buffer.byteLength(policyOf(USUAL_CLAIM_CHARACTERS) + tags.join(''))
  if (packed > AWS_RULES.packedBytes * SHARE)
    report(
      [sessionPolicy === undefined ? 'session_tags' : 'session_policy'],
      `found about ${packed} bytes of policy and tags; allowed: ${Math.floor(AWS_RULES.packedBytes * SHARE)}`,
    )
}

function literalOf(template: Template): string {
  return template.filter((part) => typeof part === 'string').join('')
}

function usualText(template: Template): string {
  return template
    .map((part) => (typeof part === 'string' ? part : 'x'.repeat(USUAL_CLAIM_CHARACTERS)))
    .join('')
}
