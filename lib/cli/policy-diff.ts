import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { explainExchange, type Question } from '../../functions/core/explain.ts'
import type { PolicyIndex } from '../../functions/core/policy/decide.ts'
import { visible } from '../../functions/core/policy/finding.ts'
import type { ClientId, JsonObject } from '../../functions/core/types.ts'
import { type Access, accessOf, accessText, detailLines } from './access.ts'
import { type Command, CommandFailed, UsageError } from './command.ts'
import {
  IDENTITY,
  type Identity,
  OWN_ISSUER,
  presentedClaims,
  readDataFile,
  unknownClient,
} from './identity.ts'
import { type LoadedPolicy, loadFor } from './policy-source.ts'
import { asciiJson, type Terminal } from './terminal.ts'

const A_LIST = 'a list of at least one identity'
const IDENTITIES = z.strictObject(
  {
    identities: z
      .array(
        z.strictObject(
          { name: z.string('what to call it'), ...IDENTITY },
          'a map with the keys name, issuer, claims, actor, client',
        ),
        A_LIST,
      )
      .min(1, A_LIST),
  },
  'a map with the key identities',
)

interface Change {
  readonly identity: string
  /** `undefined` for requests that name no target. */
  readonly audience: string | undefined
  readonly before: Access | undefined
  readonly after: Access | undefined
}

const DETAILS = `The identities to ask for come from a YAML or JSON file: a list identities of {name, issuer, claims, actor, client}. Both
policies are asked for the same tokens. What of iss and aud is left out is what the old policy accepts, and a token lives
as long as both accept.`

export const policyDiff: Command = {
  path: ['policy', 'diff'],
  arguments: '<old folder> <new folder>',
  summary: 'say who gains and who loses what between two policies',
  details: DETAILS,
  example: 'npx token-broker policy diff policy ../proposed/policy --identities identities.yaml',
  options: {
    identities: { type: 'string', value: 'FILE', description: 'whose access is compared (required)' },
  },
  run: async ({ arguments: folders, text, flag, terminal, now }) => {
    const [before, after, ...others] = folders
    const file = text('identities')
    if (before === undefined || after === undefined || others.length > 0)
      throw new UsageError('name two folders: the policy as it was, and as it will be')
    if (file === undefined) throw new UsageError('name a file of identities with --identities')
    const { identities } = readDataFile(file, IDENTITIES)
    const policies = [loadFor(before), loadFor(after)] as const
    const changes = identities.flatMap((identity) => changesFor(identity, policies, now()))
    if (flag('json')) terminal.out(asciiJson({ changes }))
    else print(terminal, changes, identities.length)
    return 0
  },
}

interface NamedIdentity extends Identity {
  readonly name: string
}

function changesFor(
  identity: NamedIdentity,
  [before, after]: readonly [LoadedPolicy, LoadedPolicy],
  now: number,
): readonly Change[] {
  const audiences = new Set(
    [before, after].flatMap(({ policy }) => policy.targets.map(({ audience }) => audience)),
  )
  const presented = presentedToBoth(identity, [before.index, after.index], now)
  return [...[...audiences].toSorted(), undefined].flatMap((audience) => {
    const [was, is] = [before, after].map(({ index }) => accessTo(audience, { index, presented, now }))
    return isDeepStrictEqual(was, is) ? [] : [{ identity: identity.name, audience, before: was, after: is }]
  })
}

type Presented = Pick<Question, 'claims' | 'actor' | 'clientId'>

/**
 * The same tokens for both policies, or what only one of them accepts would look alike: those that the old one accepts today,
 * where it knows their issuer. They live no longer than either accepts: how long they do, no policy says.
 */
function presentedToBoth(identity: NamedIdentity, policies: readonly PolicyIndex[], now: number): Presented {
  const presented = policies.map((index) => presentedClaims(identity, index, now))
  const known = presented.flatMap((tokens) => ('unknown' in tokens ? [] : [tokens]))
  const [first] = known
  if (first === undefined) {
    const unknown = presented.flatMap((tokens) => ('unknown' in tokens ? tokens.unknown : []))[0] ?? ''
    throw new CommandFailed(
      visible(`${identity.name}: neither policy has the ${unknown}`),
      'mend the identities',
    )
  }
  return {
    claims: endingFirst(known.map(({ claims }) => claims)) ?? first.claims,
    actor: endingFirst(known.map(({ actor }) => actor).filter((actor) => actor !== undefined)),
    clientId: identity.client as ClientId | undefined,
  }
}

/** The first of some claims, with the earliest end of all. */
function endingFirst(tokens: readonly JsonObject[]): JsonObject | undefined {
  const ends = tokens.map(({ exp }) => exp).filter((exp) => typeof exp === 'number')
  const [first] = tokens
  return first && (ends.length === 0 ? first : { ...first, exp: Math.min(...ends) })
}

function accessTo(
  audience: string | undefined,
  asked: {
    readonly index: PolicyIndex
    readonly presented: Presented
    readonly now: number
  },
): Access | undefined {
  const { index, presented, now } = asked
  // As an exchange would: nobody is a client that the policy does not have.
  if (unknownClient(presented.clientId, index) !== undefined) return undefined
  const audiences = audience === undefined ? [] : [audience]
  const question = { ...presented, audiences, resources: [], scopes: undefined }
  const explanation = explainExchange(index, question, { now, brokerIssuer: OWN_ISSUER })
  return explanation.outcome === 'granted' ? accessOf(explanation) : undefined
}

function print(terminal: Terminal, changes: readonly Change[], identities: number): void {
  for (const { identity, audience, before, after } of changes) {
    const [who, what] = [visible(identity), audience ?? 'a request without a target']
    if (before === undefined) terminal.out(terminal.style('green', `+ ${who} gains ${what}`))
    else if (after === undefined) terminal.out(terminal.style('red', `- ${who} loses ${what}`))
    else terminal.out(terminal.style('yellow', `~ ${who} changes at ${what}`))
    if (before !== undefined) terminal.out(`    was ${accessText(before)}`)
    if (after !== undefined) terminal.out(`    is  ${accessText(after)}`)
    for (const line of detailLines(before, after)) terminal.out(`    ${line}`)
  }
  terminal.out(`changes: ${changes.length}, identities: ${identities}`)
}
