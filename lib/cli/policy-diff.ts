import { z } from 'zod'
import { explainExchange } from '../../functions/core/explain.ts'
import type { ClientId } from '../../functions/core/types.ts'
import { type Command, UsageError } from './command.ts'
import { IDENTITY, type Identity, OWN_ISSUER, presentedClaims, readDataFile } from './identity.ts'
import { type LoadedPolicy, loadFor } from './policy-source.ts'
import type { Terminal } from './terminal.ts'

const IDENTITIES = z.strictObject(
  {
    identities: z.array(
      z.strictObject(
        { name: z.string('what to call it'), ...IDENTITY },
        'a map with the keys name, issuer, claims, actor, client',
      ),
      'a list of identities',
    ),
  },
  'a map with the key identities',
)

/** What one identity may get at one target. */
interface Access {
  readonly grant: string
  readonly scopes: readonly string[]
  readonly lifetimeSeconds: number
}

interface Change {
  readonly identity: string
  readonly audience: string
  readonly before: Access | undefined
  readonly after: Access | undefined
}

export const policyDiff: Command = {
  path: ['policy', 'diff'],
  arguments: '<old folder> <new folder>',
  summary: 'say who gains and who loses what between two policies',
  details:
    'The identities to ask for come from a YAML or JSON file: a list identities of {name, issuer, claims, actor, client}.',
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
    if (flag('json')) terminal.out(JSON.stringify({ changes }, null, 2))
    else print(terminal, changes, identities.length)
    return 0
  },
}

function changesFor(
  identity: Identity & { readonly name: string },
  [before, after]: readonly [LoadedPolicy, LoadedPolicy],
  now: number,
): readonly Change[] {
  const audiences = new Set(
    [before, after].flatMap(({ policy }) => policy.targets.map(({ audience }) => audience)),
  )
  return [...audiences].toSorted().flatMap((audience) => {
    const [was, is] = [before, after].map((policy) => accessOf(identity, audience, { policy, now }))
    const isSame = JSON.stringify(was) === JSON.stringify(is)
    return isSame ? [] : [{ identity: identity.name, audience, before: was, after: is }]
  })
}

function accessOf(
  identity: Identity,
  audience: string,
  { policy: { index }, now }: { readonly policy: LoadedPolicy; readonly now: number },
): Access | undefined {
  const presented = presentedClaims(identity, index, now)
  if ('unknown' in presented) return undefined
  const clientId = identity.client as ClientId | undefined
  const question = { ...presented, clientId, audiences: [audience], resources: [], scopes: undefined }
  const explanation = explainExchange(index, question, { now, brokerIssuer: OWN_ISSUER })
  if (explanation.outcome === 'refused') return undefined
  const { grant } = explanation.authorised
  return { grant: grant.id, scopes: grant.scopes.toSorted(), lifetimeSeconds: grant.lifetimeSeconds }
}

function print(terminal: Terminal, changes: readonly Change[], identities: number): void {
  for (const { identity, audience, before, after } of changes) {
    if (before === undefined) terminal.out(terminal.style('green', `+ ${identity} gains ${audience}`))
    else if (after === undefined) terminal.out(terminal.style('red', `- ${identity} loses ${audience}`))
    else terminal.out(terminal.style('yellow', `~ ${identity} changes at ${audience}`))
    if (before !== undefined) terminal.out(`    was ${accessText(before)}`)
    if (after !== undefined) terminal.out(`    is  ${accessText(after)}`)
  }
  terminal.out(`changes: ${changes.length}, identities: ${identities}`)
}

function accessText({ grant, scopes, lifetimeSeconds }: Access): string {
  return `${scopes.join(' ') || '(no scope)'}, ${lifetimeSeconds} s, by ${grant}`
}
