/**
 * The environment of a function, both ways: the stacks write it with {@link toEnvironment}, a function reads it with
 * {@link readSettings}. Nothing else touches `process.env`.
 */

const VARIABLES = {
  /** The broker's issuer URL: `iss` of every token and base of every endpoint. */
  issuer: 'BROKER_ISSUER',
  /** Deployment stage, for example `prod`: tag of keys, dimension of metrics. */
  stage: 'BROKER_STAGE',
  /** An answer within so many milliseconds is a fast one. */
  latencyMilliseconds: 'LATENCY_MILLISECONDS',
  exchangesTable: 'EXCHANGES_TABLE',
  revocationsTable: 'REVOCATIONS_TABLE',
  signingKeysTable: 'SIGNING_KEYS_TABLE',
  limitsTable: 'LIMITS_TABLE',
  statusTable: 'STATUS_TABLE',
  /** ARN of the function that starts sessions of AWS roles: set only where a target of the policy is one. */
  awsCredentialsFunction: 'AWS_CREDENTIALS_FUNCTION',
  /** Where the audit trail's chains end, roughly. */
  auditTable: 'AUDIT_TABLE',
  auditBucket: 'AUDIT_BUCKET',
  /** The ARN of the KMS key that signs checkpoints. */
  auditKey: 'AUDIT_KEY',
  /** Set where the probe's exchanges are allowed. */
  probe: 'PROBE',
  /** The ARN of the KMS key that signs the probe's own tokens. */
  probeKey: 'PROBE_KEY',
  /** How long a key signs. Seconds, as every setting in text. */
  keyRotationSeconds: 'KEY_ROTATION_SECONDS',
  /** How long a delegated key signs. */
  delegatedKeySeconds: 'DELEGATED_KEY_SECONDS',
  /** ARN of the KMS key that encrypts delegated keys: set only where a target of the policy asks for them. */
  wrappingKeyArn: 'WRAPPING_KEY_ARN',
  /** Base of the endpoints at which clients show certificates: set only where the deployment has one. */
  mtlsUrl: 'MTLS_URL',
  /** ARN of the KMS key that makes nonces for DPoP proofs: set only where a target of the policy asks for them. */
  nonceKeyArn: 'NONCE_KEY_ARN',
  /** How long the slowest verifier keeps a JWK Set. */
  verifierCacheSeconds: 'VERIFIER_CACHE_SECONDS',
} as const

/** Where operators revoke: the one route with IAM authorization. */
export const OPERATOR_REVOCATION_PATH = '/admin/revocations'

/** Where SDKs ask for credentials of a role; the target's id follows. */
export const AWS_CREDENTIALS_PATH = '/aws/credentials/'

export type SettingName = keyof typeof VARIABLES
export type Settings<Name extends SettingName = SettingName> = { readonly [N in Name]: string }

/** The environment variables that carry `settings`. */
export function toEnvironment(settings: Partial<Settings>): Record<string, string> {
  return Object.fromEntries(
    (Object.entries(settings) as [SettingName, string][]).map(([name, value]) => [VARIABLES[name], value]),
  )
}

/** Reads the named settings. Throws if one is not set, naming the variable: a function must not start half configured. */
export function readSettings<Name extends SettingName>(
  names: readonly Name[],
  environment: NodeJS.ProcessEnv = process.env,
): Settings<Name> {
  const entries = names.map((name) => {
    const value = environment[VARIABLES[name]]
    if (!value) throw new Error(`environment variable ${VARIABLES[name]} is not set`)
    return [name, value]
  })
  return Object.fromEntries(entries) as Settings<Name>
}

/** A setting that need not be there. */
export function readOptionalSetting(
  name: SettingName,
  environment: NodeJS.ProcessEnv = process.env,
): string | undefined {
  return environment[VARIABLES[name]] || undefined
}

/** A setting that is a whole number of seconds. Throws if it is anything else. */
export function readSeconds(settings: Partial<Settings>, name: SettingName): number {
  return readWholeNumber(settings, name, 'seconds')
}

/** What a function has to know to count requests. Throws if a setting is missing or malformed. */
export function readCounting(environment: NodeJS.ProcessEnv = process.env): {
  readonly stage: string
  readonly latencyMilliseconds: number
} {
  const settings = readSettings(['stage', 'latencyMilliseconds'], environment)
  const latencyMilliseconds = readWholeNumber(settings, 'latencyMilliseconds', 'milliseconds')
  return { stage: settings.stage, latencyMilliseconds }
}

function readWholeNumber(settings: Partial<Settings>, name: SettingName, unit: string): number {
  const number = Number(settings[name])
  if (!Number.isSafeInteger(number) || number <= 0)
    throw new Error(`environment variable ${VARIABLES[name]} is ${settings[name]}, not a number of ${unit}`)
  return number
}

/** Where AWS is, other than at home: set by the local cloud alone, and known to the AWS SDK by the same name. */
export function readAwsEndpoint(environment: NodeJS.ProcessEnv = process.env): string | undefined {
  return environment['AWS_ENDPOINT_URL'] || undefined
}

/**
 * Set by the local cloud alone, never by a stack: a JSON object from issuer URL to the loopback URL that stands in for
 * it. Its presence is what allows plain http and loopback addresses to the issuer-key reader.
 */
export const LOCAL_ISSUERS_VARIABLE = 'LOCAL_ISSUERS'

export type LocalIssuers = Readonly<Record<string, string>>

/** The stand-ins for issuers, or `undefined` anywhere but in the local cloud. */
export function readLocalIssuers(environment: NodeJS.ProcessEnv = process.env): LocalIssuers | undefined {
  const value = environment[LOCAL_ISSUERS_VARIABLE]
  return value === undefined ? undefined : (JSON.parse(value) as LocalIssuers)
}
