import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { LIMITS } from '../../functions/core/limits.ts'
import { BROKER } from '../../functions/core/policy/compiled.ts'
import type { PolicyIndex } from '../../functions/core/policy/decide.ts'
import { formatFinding, type PolicyFinding } from '../../functions/core/policy/finding.ts'
import { readSource } from '../../functions/core/policy/schema-findings.ts'
import type { JsonObject } from '../../functions/core/types.ts'
import { parsePolicyFile } from '../policy-yaml.ts'
import { CommandFailed } from './command.ts'

/** Stands for the broker's own URL, which a policy does not know. */
export const OWN_ISSUER = 'https://broker.invalid'

const CLAIMS_RULE = 'a map of claims'

const TOKEN = {
  issuer: z.string('the id of an issuer in the policy').min(1),
  claims: z.record(z.string(), z.json({ error: CLAIMS_RULE }), { error: CLAIMS_RULE }).default({}),
}

/** Somebody who could present a token, and whoever acts for them: for examples, not the tokens themselves. */
export const IDENTITY = {
  ...TOKEN,
  actor: z.strictObject(TOKEN, 'a map with the keys issuer, claims').optional(),
  client: z.string('the id of a client in the policy').min(1).optional(),
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

/** The claims of an identity's tokens; or the issuer that the policy does not have. */
export type PresentedClaims =
  | { readonly claims: JsonObject; readonly actor: JsonObject | undefined }
  | { readonly unknown: string }

/** What an identity would present. `now` in epoch seconds. */
export function presentedClaims(identity: Identity, policy: PolicyIndex, now: number): PresentedClaims {
  const claims = claimsOf(identity, policy, now)
  if (claims === undefined) return { unknown: identity.issuer }
  const actor = identity.actor && claimsOf(identity.actor, policy, now)
  if (identity.actor !== undefined && actor === undefined) return { unknown: identity.actor.issuer }
  return { claims, actor }
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
  const parsed = parsePolicyFile(path, textOf(path))
  if ('findings' in parsed) throw wrongFile(path, parsed.findings)
  const read = readSource(parsed.file, schema)
  if ('findings' in read) throw wrongFile(path, read.findings)
  return read.source
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new CommandFailed(`${path} cannot be read`, 'check the path', { cause })
  }
}

function wrongFile(path: string, findings: readonly PolicyFinding[]): CommandFailed {
  return new CommandFailed(findings.map(formatFinding).join('\n'), `mend ${path}, and run the command again`)
}
