import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { BROKER } from '../../functions/core/policy/compiled.ts'
import type { PolicyIndex } from '../../functions/core/policy/decide.ts'
import { formatFinding, type PolicyFinding } from '../../functions/core/policy/finding.ts'
import { readSource } from '../../functions/core/policy/schema-findings.ts'
import type { JsonObject } from '../../functions/core/types.ts'
import { parsePolicyFile } from '../policy-folder.ts'
import { CommandFailed } from './command.ts'

/** Stands for the broker's own URL, which a policy does not know. */
export const OWN_ISSUER = 'https://broker.invalid'

const CLAIMS_RULE = 'a map of claims'

/** Somebody who could present a token: for examples, not a token itself. */
export const IDENTITY = {
  issuer: z.string('the id of an issuer in the policy').min(1),
  claims: z.record(z.string(), z.json({ error: CLAIMS_RULE }), { error: CLAIMS_RULE }).default({}),
  client: z.string('the id of a client in the policy').min(1).optional(),
}

/** An identity as it stands in a file. */
export interface Identity {
  readonly issuer: string
  readonly claims: Readonly<Record<string, unknown>>
  readonly client?: string | undefined
}

const LIFETIME_SECONDS = 300

/**
 * The claims of a token of this identity: what its file leaves out of `iss`, `aud`, `sub`, `iat` and `exp` is filled with
 * what its issuer would be accepted with. `undefined` if the policy has no such issuer. `now` in epoch seconds.
 */
export function claimsOf(identity: Identity, policy: PolicyIndex, now: number): JsonObject | undefined {
  const issuer = [...policy.issuers.values()].find(({ id }) => id === identity.issuer)
  if (issuer === undefined && identity.issuer !== BROKER) return undefined
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
  return { ...times, ...defaults, ...identity.claims } as JsonObject
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
