import { RetentionDays } from 'aws-cdk-lib/aws-logs'
import type { Node } from 'constructs'
import { z } from 'zod'
import { shortestRotationSeconds } from '../functions/core/key-times.ts'
import { MONITORING_FORM, type MonitoringConfig } from './monitoring-config.ts'
import { STAGE_NAME } from './project-context.ts'

const FOLDER_RULE = 'the path of a folder'
const DOMAIN_RULE = 'a host name such as broker.example.com, without scheme, port or path'
const CERTIFICATE_RULE = 'the ARN of an ACM certificate in the Region of the stack'
const CACHE_RULE = 'a whole number of minutes from 5 to 1440'
const LONGEST_ROTATION_HOURS = 365 * 24
const DELEGATED_HOURS = 24
const LONGEST_DELEGATED_HOURS = 7 * 24
const DELEGATED_RULE = `a whole number of hours, at most ${LONGEST_DELEGATED_HOURS}: whoever gets hold of a delegated key has it until it is replaced`
const ROTATION_RULE = `a whole number of hours, at most ${LONGEST_ROTATION_HOURS}`
const LONGEST_AUDIT_DAYS = 36_500
const AUDIT_RULE = `a whole number of days from 1 to ${LONGEST_AUDIT_DAYS}: with removal protection nobody can make it shorter afterwards`
const LAYER_RULE = 'the ARN of a version of a Lambda layer, in the Region of the stack'
const BOOLEAN_RULE = 'true or false'

const ROLLOUTS = ['canary', 'all-at-once'] as const
const ROLLOUT_RULE = `one of ${ROLLOUTS.join(', ')}`
const MOST_ENVIRONMENTS = 1000
const ENVIRONMENTS_RULE = `a whole number from 1 to ${MOST_ENVIRONMENTS}`
const UTILIZATION_RULE = 'a number from 0.1 to 0.9'
const MIN_RULE = 'at most max'

const RETENTION_DAYS = Object.values(RetentionDays).filter(
  (days): days is RetentionDays => typeof days === 'number' && days !== RetentionDays.INFINITE,
)
const RETENTION_RULE = `one of ${RETENTION_DAYS.join(', ')}: CloudWatch Logs knows no other period`

const HOST_NAME = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$/
const CERTIFICATE_ARN = /^arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate\/[A-Za-z0-9-]+$/

const TRUSTSTORE_RULE = 'the S3 URI of a PEM file in the Region of the stack, s3://bucket/key'
const VERSION_RULE = 'the version id of that S3 object: whom to trust must not change without a deployment'
const TRUSTSTORE = /^s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\/.+$/

const ANOTHER_NAME_RULE =
  'another host name than that of the issuer: who reads the key set has no certificate'

const MUTUAL_TLS = z.strictObject(
  {
    name: z.string(DOMAIN_RULE).regex(HOST_NAME, DOMAIN_RULE),
    certificateArn: z.string(CERTIFICATE_RULE).regex(CERTIFICATE_ARN, CERTIFICATE_RULE),
    truststore: z.string(TRUSTSTORE_RULE).regex(TRUSTSTORE, TRUSTSTORE_RULE),
    truststoreVersion: z.string(VERSION_RULE).min(1, VERSION_RULE),
  },
  { error: keysOrElse('an object with name, certificateArn, truststore and truststoreVersion') },
)

const LAYER_ARN = /^arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:layer:[A-Za-z0-9_-]+:\d+$/

const DOMAIN = z.strictObject(
  {
    name: z.string(DOMAIN_RULE).regex(HOST_NAME, DOMAIN_RULE),
    certificateArn: z.string(CERTIFICATE_RULE).regex(CERTIFICATE_ARN, CERTIFICATE_RULE),
    mutualTls: MUTUAL_TLS.optional(),
  },
  { error: keysOrElse('an object with name and certificateArn, and mutualTls if clients show certificates') },
)

const ENVIRONMENTS = z
  .int(ENVIRONMENTS_RULE)
  .min(1, ENVIRONMENTS_RULE)
  .max(MOST_ENVIRONMENTS, ENVIRONMENTS_RULE)

const PROVISIONED_CONCURRENCY = z
  .strictObject(
    {
      min: ENVIRONMENTS,
      max: ENVIRONMENTS,
      utilization: z
        .number(UTILIZATION_RULE)
        .min(0.1, UTILIZATION_RULE)
        .max(0.9, UTILIZATION_RULE)
        .default(0.7),
    },
    { error: keysOrElse('an object with min and max') },
  )
  .refine(({ min, max }) => min <= max, { path: ['min'], message: MIN_RULE })

const MONITORING = z.strictObject(MONITORING_FORM, { error: keysOrElse('an object') })

const CONFIG = z
  .strictObject(
    {
      stage: z.string(STAGE_NAME.rule).regex(STAGE_NAME.pattern, STAGE_NAME.rule).default(STAGE_NAME.default),
      policyFolder: z.string(FOLDER_RULE).min(1, FOLDER_RULE).default('policy'),
      logRetentionDays: z.literal(RETENTION_DAYS, RETENTION_RULE).default(RetentionDays.THREE_MONTHS),
      keyRotationHours: z
        .int(ROTATION_RULE)
        .max(LONGEST_ROTATION_HOURS, ROTATION_RULE)
        .default(30 * 24),
      delegatedKeyHours: z.int(DELEGATED_RULE).max(LONGEST_DELEGATED_HOURS, DELEGATED_RULE).optional(),
      verifierCacheMinutes: z.int(CACHE_RULE).min(5, CACHE_RULE).max(1440, CACHE_RULE).default(120),
      auditRetentionDays: z
        .int(AUDIT_RULE)
        .min(1, AUDIT_RULE)
        .max(LONGEST_AUDIT_DAYS, AUDIT_RULE)
        .default(400),
      domain: DOMAIN.optional(),
      monitoring: MONITORING.prefault({}),
      openTelemetryLayer: z.string(LAYER_RULE).regex(LAYER_ARN, LAYER_RULE).optional(),
      rollout: z.enum(ROLLOUTS, ROLLOUT_RULE).optional(),
      provisionedConcurrency: PROVISIONED_CONCURRENCY.optional(),
      probe: z.boolean(BOOLEAN_RULE).default(true),
      removalProtection: z.boolean(BOOLEAN_RULE).default(true),
    },
    { error: keysOrElse('an object') },
  )
  .superRefine(({ domain, keyRotationHours, delegatedKeyHours, verifierCacheMinutes }, context) => {
    const shortest = shortestRotationHours(verifierCacheMinutes)
    const message = `at least ${shortest} hours while verifiers cache for ${verifierCacheMinutes} minutes, so that the next key is known everywhere before it signs`
    if (domain?.mutualTls?.name === domain?.name && domain !== undefined)
      context.addIssue({ code: 'custom', path: ['domain', 'mutualTls', 'name'], message: ANOTHER_NAME_RULE })
    for (const [name, hours = shortest] of Object.entries({ keyRotationHours, delegatedKeyHours }))
      if (hours < shortest) context.addIssue({ code: 'custom', path: [name], message })
  })
  .transform(({ delegatedKeyHours, rollout, ...config }) => ({
    ...config,
    rollout: rollout ?? (config.removalProtection ? 'canary' : 'all-at-once'),
    delegatedKeyHours:
      delegatedKeyHours ?? Math.max(DELEGATED_HOURS, shortestRotationHours(config.verifierCacheMinutes)),
  }))

/** A name of its own for the token endpoint. */
export interface DomainConfig {
  /** Host name; the issuer is then `https://<name>`. */
  readonly name: string
  /** ACM certificate for that name, in the Region of the stack. */
  readonly certificateArn: string
  /**
   * A second name of the same API, at which every client has to show a certificate (mutual TLS). Key set and metadata stay at
   * the first: who verifies tokens has no certificate.
   * @default - nobody is asked for a certificate
   */
  readonly mutualTls?: MutualTlsConfig | undefined
}

/** Where clients show certificates, and whose are accepted. */
export interface MutualTlsConfig {
  /** Host name, another one than that of the issuer. */
  readonly name: string
  /** ACM certificate for that name, in the Region of the stack. */
  readonly certificateArn: string
  /** S3 URI of the certificates, in PEM, of those whose signatures on clients' certificates are accepted. */
  readonly truststore: string
  /** Version id of that object. */
  readonly truststoreVersion: string
}

/** How requests get to a new version: a tenth of them first and all after five minutes, or all at once. */
export type Rollout = (typeof ROLLOUTS)[number]

/** Environments of the exchange function that are ready, and paid for, before a request comes. */
export interface ProvisionedConcurrencyConfig {
  /** At least so many. */
  readonly min: number
  /** At most so many. */
  readonly max: number
  /**
   * The part of them that is in use when there are enough.
   * @default 0.7
   */
  readonly utilization: number
}

/** What one deployment of the broker may choose: context `broker` of `cdk.json`. */
export interface DeploymentConfig {
  /**
   * Part of the stack names and tag of the signing keys: stages in one account share nothing.
   * @default dev
   */
  readonly stage: string
  /**
   * Folder of the trust policy, relative to the working directory.
   * @default policy
   */
  readonly policyFolder: string
  /**
   * Days until a log line is deleted.
   * @default 90
   */
  readonly logRetentionDays: RetentionDays
  /**
   * Hours for which a signing key signs before the next one takes over.
   * @default 720
   */
  readonly keyRotationHours: number
  /**
   * Hours for which a delegated key signs, where a target of the policy asks for them: whoever gets hold of one can sign
   * for the rest of that time.
   * @default - 24, or the least that the verifiers' cache allows
   */
  readonly delegatedKeyHours: number
  /**
   * Minutes for which the slowest verifier keeps the public keys before it reads them again. Every time of a key's life
   * follows from it.
   * @default 120
   */
  readonly verifierCacheMinutes: number
  /**
   * Days for which nobody can delete what the audit trail holds (S3 Object Lock, compliance mode). Without
   * `removalProtection` it is one day, in governance mode.
   * @default 400
   */
  readonly auditRetentionDays: number
  /**
   * Custom domain. The API's own endpoint is disabled with it, so that tokens have one issuer and one way in.
   * @default - the endpoint that API Gateway assigns
   */
  readonly domain?: DomainConfig | undefined
  /** What is promised, and who is told when it is not kept. */
  readonly monitoring: MonitoringConfig
  /**
   * ARN of a layer with an OpenTelemetry SDK for Node.js that starts by the wrapper `/opt/otel-instrument`, as that of the AWS
   * Distro does.
   * @default - spans go nowhere; X-Ray sees each invocation as a whole
   */
  readonly openTelemetryLayer?: string | undefined
  /**
   * How requests get to a new version of a function, and so to a new policy.
   * @default - canary with `removalProtection`, else all-at-once
   */
  readonly rollout: Rollout
  /**
   * How many environments of the exchange function never start cold.
   * @default - none: an environment starts when a request needs it
   */
  readonly provisionedConcurrency?: ProvisionedConcurrencyConfig | undefined
  /**
   * Whether a function tries the broker each minute, as a client does: exchanges that must work, others that must be
   * refused, and a revocation that must hold.
   * @default true
   */
  readonly probe: boolean
  /**
   * Whether tables and logs outlive their stack and the state stack refuses to be deleted. False is for stages to throw away.
   * @default true
   */
  readonly removalProtection: boolean
}

/** The deployment config is wrong. The message names every wrong value and what is allowed in its place. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

/** Checks a deployment config and fills in its defaults. Throws {@link ConfigError}. */
export function parseConfig(input: unknown): DeploymentConfig {
  const result = CONFIG.safeParse(input)
  if (result.success) return result.data
  const lines = result.error.issues.map((issue) => {
    const path = ['broker', ...issue.path.map(String)].join('.')
    return `${path}: found ${JSON.stringify(valueAt(input, issue.path))}, allowed is ${issue.message}`
  })
  throw new ConfigError(lines.join('\n'))
}

/** The config of this deployment: context `broker`, its stage overridden by `-c stage=…`. Throws {@link ConfigError}. */
export function readConfig(node: Node): DeploymentConfig {
  const config: unknown = node.tryGetContext('broker') ?? {}
  const stage: unknown = node.tryGetContext('stage')
  const overridable = stage !== undefined && typeof config === 'object'
  return parseConfig(overridable ? { ...config, stage } : config)
}

function shortestRotationHours(verifierCacheMinutes: number): number {
  return Math.ceil(shortestRotationSeconds(verifierCacheMinutes * 60) / 3600)
}

function keysOrElse(rule: string): z.core.$ZodErrorMap {
  return (issue) => (issue.code === 'unrecognized_keys' ? `nothing named ${issue.keys.join(', ')}` : rule)
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, key) => (typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined),
    input,
  )
}
