import { z } from 'zod'
import { type Explanation, explainExchange } from '../../functions/core/explain.ts'
import { preparseJwt } from '../../functions/core/jwt-preparse.ts'
import type { PolicyIndex } from '../../functions/core/policy/decide.ts'
import { visible } from '../../functions/core/policy/finding.ts'
import type { ClientId, JsonObject } from '../../functions/core/types.ts'
import { type Command, type CommandContext, CommandFailed, UsageError } from './command.ts'
import { askedFor, IDENTITY, OWN_ISSUER, presentedClaims, readDataFile, unknownClient } from './identity.ts'
import { loadFor, POLICY_OPTION } from './policy-source.ts'
import { candidateText, refusalText } from './refusal-text.ts'
import { asciiJson, type Terminal } from './terminal.ts'

const DETAILS = `The token is read from standard input, so that it does not stand in the process list, and is not sent anywhere; after
it, separated by white space, may stand the token of an actor. Its
signature is not checked, nor whether it was used or revoked: this is about the policy. With --claims, a YAML or JSON
file says who asks: {issuer: github, claims: {…}}, and who acts: actor: {issuer: cluster, claims: {…}}; what is left out of iss, aud, sub, iat and exp is filled in.`

export const policyExplain: Command = {
  path: ['policy', 'explain'],
  summary: 'say what a token would get, and which condition is in its way',
  details: DETAILS,
  example: 'npx token-broker policy explain --audience https://payments.example.com < token.txt',
  options: {
    ...POLICY_OPTION,
    claims: { type: 'string', value: 'FILE', description: 'explain these claims instead of a token' },
    audience: { type: 'string', value: 'AUDIENCE', description: 'as the request would have it' },
    resource: { type: 'string', value: 'URI', description: 'as the request would have it' },
    scope: { type: 'string', value: 'SCOPES', description: 'as the request would have it' },
    client: { type: 'string', value: 'ID', description: 'the client that would be authenticated' },
    issuer: {
      type: 'string',
      value: 'URL',
      description: 'the broker’s own URL, to explain a token that it has issued',
    },
  },
  run: async (context) => {
    const { text, flag, terminal, now } = context
    const { index } = loadFor(text('policy'))
    const { client = text('client'), ...tokens } = await presented(context, index)
    const stranger = unknownClient(client, index)
    if (stranger !== undefined) throw unknownTo(stranger)
    const request = { audience: text('audience'), resource: text('resource'), scope: text('scope') }
    const asked = { ...tokens, clientId: client as ClientId | undefined, ...askedFor(request) }
    const at = { now: now(), brokerIssuer: text('issuer') ?? OWN_ISSUER }
    const explanation = explainExchange(index, asked, at)
    const explained = { explanation, ...tokens, policy: index }
    if (flag('json')) terminal.out(asciiJson(explanationAsJson(explained)))
    else print(terminal, explained)
    return explanation.outcome === 'granted' ? 0 : 1
  },
}

interface Presented {
  readonly claims: JsonObject
  readonly actor?: JsonObject | undefined
  readonly client?: string | undefined
}

/** Who asks, and who acts: the claims of tokens, or those of a file. */
async function presented({ text, terminal, now }: CommandContext, policy: PolicyIndex): Promise<Presented> {
  const file = text('claims')
  if (file !== undefined) {
    const identity = readDataFile(
      file,
      z.strictObject(IDENTITY, 'a map with the keys issuer, claims, actor, client'),
    )
    const tokens = presentedClaims(identity, policy, now())
    if ('unknown' in tokens) throw unknownTo(tokens)
    return { ...tokens, client: text('client') ?? identity.client }
  }
  if (terminal.isInteractive)
    throw new UsageError('no token: give it on standard input, or a file of claims with --claims')
  const input = (await terminal.readInput()).trim()
  if (input === '') throw new UsageError('standard input is empty: pipe the token in')
  // Whoever was asked for a token has answered with an error, or with the token in a wrapping: neither is repeated here.
  if (/^[{[]/.test(input))
    throw new CommandFailed(
      'standard input is JSON, no token',
      'read it: it may be the error of what should have given the token, or have the token in one of its members',
    )
  const [token = '', actor, ...more] = input.split(/\s+/)
  if (more.length > 0)
    throw new UsageError('more than two tokens: give the subject’s, and the actor’s after it')
  return { claims: claimsIn(token), actor: actor === undefined ? undefined : claimsIn(actor) }
}

function claimsIn(token: string): JsonObject {
  const jwt = preparseJwt(token)
  if (typeof jwt !== 'string') return jwt.claims
  throw new CommandFailed(
    `standard input is no token that the broker would look at: ${jwt.replaceAll('_', ' ')}`,
    'give the token alone, as the platform handed it out',
  )
}

function unknownTo({
  unknown,
  known,
}: {
  readonly unknown: string
  readonly known: readonly string[]
}): CommandFailed {
  return new CommandFailed(visible(`the policy has no ${unknown}`), `known are ${known.join(', ') || 'none'}`)
}

interface Explained {
  readonly explanation: Explanation
  readonly claims: JsonObject
  readonly actor?: JsonObject | undefined
  readonly policy: PolicyIndex
}

function print(terminal: Terminal, explained: Explained): void {
  const { explanation } = explained
  const { issuer, target, candidates } = explanation
  const place = `tokens of ${issuer?.id ?? '?'} for ${target?.id ?? '?'}`
  if (explanation.outcome === 'granted') {
    const { grant, scopes, mappedClaims, actors } = explanation.authorised
    terminal.out(`${terminal.style('green', 'granted')} by ${terminal.style('bold', grant.id)}: ${place}`)
    terminal.out(`  scopes    ${scopes.join(' ') || '(none)'}`)
    terminal.out(`  lifetime  ${grant.lifetimeSeconds} s at most, and never longer than the token itself`)
    if (actors.length > 0) terminal.out(`  actors    ${actors.join(', before that ')}`)
    for (const [name, value] of Object.entries(mappedClaims))
      terminal.out(visible(`  claim     ${name} = ${JSON.stringify(value)}`))
    return
  }
  const { why, change } = refusalText({ ...explained, explanation })
  terminal.out(`${terminal.style('red', 'refused')}: ${why}`)
  if (candidates.length > 0) terminal.out(`  ${place}; grants looked at: ${candidates.length}`)
  for (const candidate of candidates) terminal.out(`  ${candidateText(candidate)}`)
  terminal.out(`${terminal.style('bold', 'to change it')}: ${change}`)
}

/** An explanation for machines: names as in policy files. */
export function explanationAsJson(explained: Explained): object {
  const { explanation } = explained
  const { issuer, target, candidates } = explanation
  const common = { issuer: issuer?.id, target: target?.id, candidates }
  if (explanation.outcome === 'refused') {
    const { kind, ...detail } = explanation.refusal
    return {
      outcome: 'refused',
      reason: kind,
      detail,
      ...(explanation.of && { of: explanation.of }),
      ...refusalText({ ...explained, explanation }),
      ...common,
    }
  }
  const { grant, scopes, mappedClaims, actors } = explanation.authorised
  const granted = {
    grant: grant.id,
    scopes,
    lifetime_seconds: grant.lifetimeSeconds,
    claims: mappedClaims,
    ...(actors.length > 0 && { actors }),
  }
  return { outcome: 'granted', ...granted, ...common }
}
