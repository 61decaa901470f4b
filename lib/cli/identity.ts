import { z } from 'zod'
import type { Question } from '../../functions/core/explain.ts'
import { LIMITS } from '../../functions/core/limits.ts'
import { BROKER } from '../../functions/core/policy/compiled.ts'
import type { PolicyIndex } from '../../functions/core/policy/decide.ts'
import { formatFinding, type PolicyFinding } from '../../functions/core/policy/finding.ts'
import { readSource } from '../../functions/core/policy/schema-findings.ts'
import type { JsonObject } from '../../functions/core/types.ts'
import { type ParsedFile, readPolicyFile } from '../policy-yaml.ts'
import { CommandFailed } from './command.ts'

/** Stands for the broker's own URL, which a policy does not know. */
export const OWN_ISSUER = 'https://broker.invalid'

const CLAIMS_RULE = 'a map of claims'

/** What YAML can say and JSON can too: `z.json` has no text of its own for the rest. */
const json: z.ZodType = z.lazy(() =>
  z.union(
    [z.string(), z.number(), z.boolean(), z.null(), z.array(json), z.record(z.string(), json)],
    'what JSON can say',
  ),
)

const TOKEN = {
  issuer: z.string('the id of an issuer in the policy').min(1, 'the id of an issuer in the policy'),
  claims: z.record(z.string(), json, { error: CLAIMS_RULE }).default({}),
}

/** Somebody who could present a token, and whoever acts for them: for examples, not the tokens themselves. */
export const IDENTITY = {
  ...TOKEN,
  actor: z.strictObject(TOKEN, 'a map with the keys issuer, claims').optional(),
  client: z.string('the id of a client in the policy').min(1, 'the id of a client in the policy').optional(),
}

/** A token as it stands in a file. */
interface ExampleToken {
  readonly issuer: string
  readonly claims: Readonly<Record<string, unknown>>
}

/** An identity as it stands in a file. */
export interface Identity extends ExampleToken {
  readonly actor?: ExampleToken | undefined
  readonly client?: string | undefined
}

const LIFETIME_SECONDS = LIMITS.maxLifetimeSeconds

/** The claims of an identity's tokens; or what of it the policy does not have: nobody could be that. */
export type PresentedClaims =
  | { readonly claims: JsonObject; readonly actor: JsonObject | undefined }
  | { readonly unknown: string; readonly known: readonly string[] }

/** What an identity would present. `now` in epoch seconds. */
export function presentedClaims(identity: Identity, policy: PolicyIndex, now: number): PresentedClaims {
  const issuers = [...policy.issuers.values()].map(({ id }) => String(id))
  const claims = claimsOf(identity, policy, now)
  if (claims === undefined) return { unknown: `issuer ${identity.issuer}`, known: issuers }
  const actor = identity.actor && claimsOf(identity.actor, policy, now)
  if (identity.actor !== undefined && actor === undefined)
    return { unknown: `issuer ${identity.actor.issuer}`, known: issuers }
  return unknownClient(identity.client, policy) ?? { claims, actor }
}

/** A client that the policy does not have, which no request could be authenticated as. */
export function unknownClient(
  client: string | undefined,
  { clients }: PolicyIndex,
): Extract<PresentedClaims, { readonly unknown: string }> | undefined {
  if (client === undefined || clients.has(client)) return undefined
  return { unknown: `client ${client}`, known: [...clients.keys()] }
}

/** What a request asks for, as the form of one: an empty parameter is one that is left out (RFC 6749 §3.1). */
export function askedFor(request: {
  readonly audience?: string | undefined
  readonly resource?: string | undefined
  readonly scope?: string | undefined
}): Pick<Question, 'audiences' | 'resources' | 'scopes'> {
  const listed = (value: string | undefined) => (value ? [value] : [])
  return {
    audiences: listed(request.audience),
    resources: listed(request.resource),
    scopes: request.scope ? request.scope.split(' ') : undefined,
  }
}

/**
 * The claims of such a token: what its file leaves out of `iss`, `aud`, `sub`, `iat` and `exp` is filled with
 * what its issuer would be accepted with. `undefined` if the policy has no such issuer. `now` in epoch seconds.
 */
function claimsOf(token: ExampleToken, policy: PolicyIndex, now: number): JsonObject | undefined {
  const issuer = [...policy.issuers.values()].find(({ id }) => id === token.issuer)
  if (issuer === undefined && token.issuer !== BROKER) return undefined
  const defaults =
    issuer === undefined
      ? {
          iss: OWN_ISSUER,
          client_id: 'example',
          jti: 'example',
          txn: 'example',
          lineage: [],
          idp: 'https://example.invalid',
        }
      : { iss: issuer.issuer, aud: issuer.audiences[0] }
  const lifetime = Math.min(LIFETIME_SECONDS, issuer?.maxLifetimeSeconds ?? LIFETIME_SECONDS)
  const times = { sub: 'example', iat: now, exp: now + lifetime }
  // What YAML reads is JSON: its schema has nothing else.
  return { ...times, ...defaults, ...token.claims } as JsonObject
}

/** Reads a YAML or JSON file by a schema. Throws {@link CommandFailed} with everything that is wrong with it. */
export function readDataFile<Schema extends z.ZodType>(path: string, schema: Schema): z.output<Schema> {
  const parsed = parsedFile(path)
  if ('findings' in parsed) throw wrongFile(path, parsed.findings)
  const read = readSource(parsed.file, schema)
  if ('findings' in read) throw wrongFile(path, read.findings)
  return read.source
}

function parsedFile(path: string): ParsedFile {
  try {
    return readPolicyFile(path)
  } catch (cause) {
    throw new CommandFailed(`${path} cannot be read`, 'check the path', { cause })
  }
}

function wrongFile(path: string, findings: readonly PolicyFinding[]): CommandFailed {
  return new CommandFailed(findings.map(formatFinding).join('\n'), `mend ${path}, and run the command again`)
}
