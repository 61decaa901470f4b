import { preparseJwt } from '../../functions/core/jwt-preparse.ts'
import { tokenIdOf } from '../../functions/core/token-id.ts'
import { issuerNamedIn } from '../../functions/core/trusted-issuer.ts'
import { affectedTokens, type IssuedToken, type RevocationKind, readIssuedTokens } from './affected-tokens.ts'
import {
  type Command,
  type CommandContext,
  CommandFailed,
  DEPLOYMENT_OPTIONS,
  type ExitCode,
  PLAN_OPTIONS,
  UsageError,
} from './command.ts'
import { confirmPlan } from './confirm.ts'
import { postRevocation } from './post-revocation.ts'
import { reasonOf } from './reason.ts'
import { tableLines, withProgress } from './terminal.ts'
import { timeOf } from './times.ts'

const LISTED = 20
const FROM_INPUT = '-'

/** Per kind, what is named, and what ends with it. */
const KINDS: Readonly<Record<RevocationKind, { readonly id: string; readonly ends: string }>> = {
  token: { id: 'a token id, or - for the token itself', ends: 'this token and its descendants' },
  'upstream-token': {
    id: 'the id of a subject token, or - for the token itself',
    ends: 'every token that was exchanged for it, and their descendants; it is exchanged no more',
  },
  subject: { id: '<issuer id>:<sub>', ends: 'everything that was issued to it until now' },
  client: { id: 'a client id', ends: 'everything that was issued to it until now' },
  issuer: { id: 'an issuer id or URL', ends: 'everything that was issued for its tokens until now' },
  lineage: { id: 'the txn claim', ends: 'every token of the lineage, for good' },
  key: { id: 'a kid', ends: 'every token that it has signed, and their descendants' },
}
const KIND_NAMES = Object.keys(KINDS)

/** Ids are short; three parts with dots, or a reference handle, are a token. */
const WHOLE_TOKEN = /^[\w-]{8,}\.[\w-]{8,}\.[\w-]*$|^rt_/

interface Named {
  readonly kind: RevocationKind
  readonly id?: string
  /** A whole token. Never shown. */
  readonly token?: string
}

export const revoke: Command = {
  path: ['revoke'],
  summary: 'end tokens at once: by token, subject, client, issuer, lineage or signing key',
  arguments: '<kind> <id>',
  details: [
    ...Object.entries(KINDS).map(([kind, { id, ends }]) => `  ${kind.padEnd(15)} ${id}: ends ${ends}`),
    '',
    'A revocation cannot be taken back. A whole token is read from standard input, never from the command line, which\n' +
      'others on the machine can see: pbpaste | npx token-broker revoke token - --yes --reason "…"\n' +
      'A signing key leaves the key set only by: keys revoke.',
  ].join('\n'),
  example:
    'npx token-broker revoke subject github:repo:octo-org/payments:ref:refs/heads/main --reason "INC-7" --dry-run',
  options: {
    ...DEPLOYMENT_OPTIONS,
    ...PLAN_OPTIONS,
    reason: { type: 'string', value: 'TEXT', description: 'required: why, for the record' },
    'dry-run': { type: 'boolean', description: 'count and list what would end, and change nothing' },
  },
  run: async (context) => {
    const named = await namedBy(context)
    if (context.flag('dry-run')) return dryRun(named, context)
    const reason = reasonOf(context)
    const deployment = await context.deployment()
    await confirmPlan(context, planLines(named, reason), `Revoke in ${deployment.stage}, for good?`)
    const { kind, ...what } = named
    const request = { kind: kind.replace('-', '_'), ...what, reason }
    const { terminal, flag } = context
    const posting = postRevocation(deployment, request)
    const answer = await withProgress(terminal, () => 'waiting for the broker…', posting)
    if (flag('json')) terminal.out(JSON.stringify(answer, null, 2))
    else terminal.out(`Revoked ${String(answer['revoked'])}, by ${String(answer['author'])}.`)
    if (answer['known'] === false)
      terminal.err(
        `${terminal.style('yellow', 'note', 'err')}  the policy knows no such ${kind}: is it mistyped?`,
      )
    return 0
  },
}

async function namedBy({ arguments: given, terminal }: CommandContext): Promise<Named> {
  const [kind = '', id, ...more] = given
  if (!KIND_NAMES.includes(kind) || id === undefined || more.length > 0)
    throw new UsageError(`revoke takes a kind and an id; kinds are ${KIND_NAMES.join(', ')}`)
  const takesToken = kind === 'token' || kind === 'upstream-token'
  if (WHOLE_TOKEN.test(id))
    throw new UsageError('a whole token must not stand on the command line: pipe it in, with - in its place')
  if (id !== FROM_INPUT) return { kind: kind as RevocationKind, id }
  if (!takesToken) throw new UsageError(`- stands for a whole token; ${kind} takes an id`)
  const token = (await terminal.readInput()).trim()
  if (token === '') throw new UsageError('standard input is empty: pipe the token in')
  return { kind, token }
}

function planLines({ kind, id }: Named, reason: string): string[] {
  return [
    `${kind} ${id ?? '(read from standard input)'}, because: ${reason}`,
    `  Ends ${KINDS[kind].ends}: at once wherever the broker is asked.`,
    '  Services that verify tokens offline accept them until they expire. What would end: add --dry-run.',
  ]
}

async function dryRun(named: Named, { deployment, terminal, flag, now }: CommandContext): Promise<ExitCode> {
  const id = named.id ?? idOf(named.token ?? '')
  if (named.kind === 'issuer' && id.includes('://'))
    throw new CommandFailed(
      'records name issuers by their ids',
      'for a dry run, give the id of the issuer in policy',
    )
  const { dynamoDb, tables } = await deployment()
  let read = 0
  const scan = readIssuedTokens(dynamoDb, {
    table: tables.exchanges,
    now: now(),
    onRead: (records) => {
      read = records
    },
  })
  const tokens = await withProgress(terminal, () => `read ${read} records of ${tables.exchanges}…`, scan)
  const affected = affectedTokens(tokens, named.kind, id)
  const counts = countBy(affected, ({ target }) => target)
  if (flag('json')) {
    const shown = affected.map(({ token, subject, client_id, target, txn, kid, expires_at }) => ({
      token,
      subject,
      client_id,
      target,
      txn,
      kid,
      expires_at,
    }))
    const result = {
      dry_run: true,
      kind: named.kind,
      id,
      tokens: shown.length,
      by_target: counts,
      list: shown,
    }
    terminal.out(JSON.stringify(result, null, 2))
    return 0
  }
  terminal.out(`${affected.length} of ${tokens.length} unexpired tokens would end. Nothing was changed.`)
  for (const [target, count] of Object.entries(counts)) terminal.out(`  ${target}: ${count}`)
  for (const line of listLines(affected)) terminal.out(line)
  return 0
}

function listLines(affected: readonly IssuedToken[]): readonly string[] {
  if (affected.length === 0) return []
  const rows = affected
    .slice(0, LISTED)
    .map((token) => [token.token, token.subject, token.client_id, token.target, timeOf(token.expires_at)])
  const more = affected.length - rows.length
  return [
    ...tableLines(['token', 'subject', 'client', 'target', 'expires'], rows),
    ...(more > 0 ? [`and ${more} more: add --json for all`] : []),
  ]
}

/** The id of a token that somebody handed over. It is not verified: nothing is done with it but to look for it. */
function idOf(token: string): string {
  const jwt = preparseJwt(token)
  if (typeof jwt === 'string')
    throw new CommandFailed('this is no JWT', 'for a dry run, give the token id: it is in the audit record')
  const { jti } = jwt.claims
  const issuer = issuerNamedIn(jwt.claims)
  if (issuer === undefined) throw new CommandFailed('this token names no issuer', 'give the token id instead')
  const { signingInput } = jwt
  return tokenIdOf({
    kind: 'token',
    issuer,
    jti: typeof jti === 'string' ? jti : undefined,
    signingInput,
  })
}

function countBy<T>(items: readonly T[], name: (item: T) => string): Readonly<Record<string, number>> {
  const counts = new Map<string, number>()
  for (const item of items) counts.set(name(item), (counts.get(name(item)) ?? 0) + 1)
  return Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)))
}
