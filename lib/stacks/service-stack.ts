import { join } from 'node:path'
import type { TableV2 } from 'aws-cdk-lib/aws-dynamodb'
import { Grant } from 'aws-cdk-lib/aws-iam'
import { CfnOutput, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib/core'
import type { Construct } from 'constructs'
import type { CompiledPolicy } from '../../functions/core/policy/compiled.ts'
import { PROBE_KEYS_PATH } from '../../functions/core/policy/probe.ts'
import { isAwsTarget, isDelegating, needsNonce } from '../../functions/core/policy/target-kinds.ts'
import {
  AWS_CREDENTIALS_PATH,
  OPERATOR_REVOCATION_PATH,
  type Settings,
  toEnvironment,
} from '../../functions/settings.ts'
import type { DeploymentConfig } from '../config.ts'
import { AuditExport } from '../constructs/audit-export.ts'
import { BrokerApi } from '../constructs/broker-api.ts'
import { BrokerFunction, type BrokerFunctionProps } from '../constructs/broker-function.ts'
import { DpopNonces } from '../constructs/dpop-nonces.ts'
import { Probe } from '../constructs/probe.ts'
import { Releases } from '../constructs/releases.ts'
import { grantRoleSessions } from '../constructs/role-sessions.ts'
import { SigningKeys } from '../constructs/signing-keys.ts'
import { releaseAlarmNames } from '../monitoring/release-alarms.ts'
import type { StateStack } from './state-stack.ts'

const TOKEN_PATH = '/token'
const STATUS_PATH = '/status/{list}'
const INTROSPECTION_PATH = '/introspect'
const REVOCATION_PATH = '/revoke'
const JWKS_PATH = '/.well-known/jwks.json'
const OPENID_CONFIGURATION_PATH = '/.well-known/openid-configuration'
const METADATA_PATHS = [
  JWKS_PATH,
  OPENID_CONFIGURATION_PATH,
  '/.well-known/oauth-authorization-server',
  '/health',
]

export interface ServiceStackProps extends StackProps {
  readonly config: DeploymentConfig
  /** The tables. */
  readonly state: StateStack
  /** The trust policy that is deployed with the functions. */
  readonly policy: CompiledPolicy
  /** Folder with a `<name>/handler.ts` for each function. */
  readonly functionsFolder: string
}

type FunctionOptions = Pick<
  BrokerFunctionProps,
  'description' | 'memoryMegabytes' | 'timeoutSeconds' | 'files'
> & {
  readonly settings: Partial<Settings>
}

/** The running broker: API, functions and key rotation. Holds nothing that could not be deployed anew. */
export class ServiceStack extends Stack {
  readonly #props: ServiceStackProps
  readonly #api: BrokerApi
  readonly #signingKeys: SigningKeys
  /** Only where a target's proofs need nonces. */
  readonly #nonces: DpopNonces | undefined
  readonly #functions: BrokerFunction[] = []

  constructor(scope: Construct, id: string, props: ServiceStackProps) {
    super(scope, id, props)
    this.#props = props
    this.#api = new BrokerApi(this, 'Api', {
      apiName: this.stackName,
      domain: props.config.domain,
      logRetention: props.config.logRetentionDays,
      logRemoval: this.#removal(),
    })
    this.#signingKeys = new SigningKeys(this, 'SigningKeys', {
      table: props.state.signingKeys,
      stage: props.config.stage,
      isDelegating: props.policy.targets.some(isDelegating),
      removalProtection: props.config.removalProtection,
    })
    if (props.policy.targets.some(needsNonce))
      this.#nonces = new DpopNonces(this, 'DpopNonces', { stage: props.config.stage })
    this.#addExchange(this.#addAwsCredentials())
    this.#addIntrospect()
    this.#addRevoke()
    this.#addJwks()
    this.#addStatus()
    this.#addRotateKeys()
    this.#addExportAudit()
    if (props.config.probe) this.#addProbe()
    if (props.config.rollout === 'canary') this.#addReleases(props.config)
    this.#addOutputs()
    this.#addKeyOutputs()
  }

  /** By it API Gateway's metrics are found. */
  get apiId(): string {
    return this.#api.apiId
  }

  /** The one function that starts sessions of AWS roles, where policy has any. No other role may talk to STS. */
  #addAwsCredentials(): BrokerFunction | undefined {
    const { policy } = this.#props
    const targets = policy.targets.filter(isAwsTarget)
    if (targets.length === 0) return undefined
    const credentials = this.#function('AwsCredentials', 'aws-credentials', {
      description: 'Exchanges a token of a trusted issuer for temporary credentials of an AWS role',
      ...this.#exchangeOptions(),
    })
    const ids = new Set(targets.map(({ id }) => id))
    this.#grantExchange(
      credentials,
      policy.grants.filter(({ target }) => ids.has(target)),
    )
    if (targets.some(({ assume }) => assume === 'web-identity'))
      this.#signingKeys.grantSign(credentials, ['RS256'])
    grantRoleSessions(credentials, targets)
    this.#output(
      'AwsCredentialsRoleArn',
      credentials.role.roleArn,
      'Role of the function that assumes others: what roles of targets with assume: role trust',
    )
    this.#api.addRoute(`${AWS_CREDENTIALS_PATH}{target}`, credentials)
    return credentials
  }

  #addExchange(credentials: BrokerFunction | undefined): void {
    const { state, policy } = this.#props
    const exchange = this.#function('Exchange', 'exchange', {
      description: 'Exchanges a token of a trusted issuer for a scoped, short-lived one (RFC 8693)',
      ...this.#exchangeOptions({
        ...this.#delegation(),
        ...(this.#nonces && { nonceKeyArn: this.#nonces.keyArn }),
        ...this.#probeSettings(),
        ...(credentials && { awsCredentialsFunction: credentials.liveArn }),
      }),
    })
    this.#grantExchange(exchange, policy.grants)
    grantOnKeys(exchange, state.status, { actions: ['dynamodb:PutItem'], keys: 'list#*' })
    grantOnKeys(exchange, state.status, { actions: ['dynamodb:UpdateItem'], keys: 'counter' })
    this.#grantSigning(exchange)
    this.#nonces?.grantMake(exchange)
    if (credentials !== undefined)
      Grant.addToPrincipal({
        grantee: exchange,
        actions: ['lambda:InvokeFunction'],
        resourceArns: [credentials.liveArn],
      })
    this.#api.addRoute(TOKEN_PATH, exchange)
    this.#provision(exchange)
  }

  /** Environments that are ready before a request comes, where somebody pays for them. */
  #provision({ live }: BrokerFunction): void {
    const { provisionedConcurrency } = this.#props.config
    if (provisionedConcurrency === undefined) return
    const { min, max, utilization } = provisionedConcurrency
    const scaling = live.addAutoScaling({ minCapacity: min, maxCapacity: max })
    scaling.scaleOnUtilization({ utilizationTarget: utilization })
  }

  /** What every function is made of that carries out exchanges. */
  #exchangeOptions(settings: Partial<Settings> = {}): Omit<FunctionOptions, 'description'> {
    const { state, policy } = this.#props
    return {
      // Over half a vCPU: two TLS handshakes and up to two RSA verifications are what a caller waits for.
      memoryMegabytes: 1024,
      // Twice the request deadline, for a cold start before it.
      timeoutSeconds: 10,
      settings: {
        issuer: this.#api.issuer,
        ...this.#counting(),
        exchangesTable: state.exchanges.tableName,
        revocationsTable: state.revocations.tableName,
        signingKeysTable: state.signingKeys.tableName,
        limitsTable: state.limits.tableName,
        statusTable: state.status.tableName,
        ...this.#mutualTls(),
        ...settings,
      },
      files: { 'policy.json': JSON.stringify(policy) },
    }
  }

  /** What carrying out exchanges takes, whatever they give. */
  #grantExchange(exchange: BrokerFunction, grants: CompiledPolicy['grants']): void {
    const { state } = this.#props
    state.exchanges.grant(exchange, 'dynamodb:PutItem')
    this.#grantReadReferences(exchange)
    state.revocations.grant(exchange, 'dynamodb:BatchGetItem')
    if (grants.some(({ rate }) => rate !== undefined)) state.limits.grant(exchange, 'dynamodb:UpdateItem')
    this.#signingKeys.grantRead(exchange)
  }

  /** What a function needs to know to count requests. */
  #counting(): Partial<Settings> {
    return { latencyMilliseconds: String(this.#props.config.monitoring.latencyMilliseconds) }
  }

  #mutualTls(): Partial<Settings> {
    const { mutualTlsUrl: mtlsUrl } = this.#api
    return mtlsUrl === undefined ? {} : { mtlsUrl }
  }

  /** What a function needs to know of delegated keys, where there are any. */
  #delegation(): Partial<Settings> {
    const { wrappingKeyArn } = this.#signingKeys
    if (wrappingKeyArn === undefined) return {}
    return { wrappingKeyArn, delegatedKeySeconds: String(this.#props.config.delegatedKeyHours * 3600) }
  }

  /** Each way of signing only where a target has chosen it: not by mistake could one stand in for the other. */
  #grantSigning(exchange: BrokerFunction): void {
    const targets = this.#props.policy.targets.filter((target) => !isAwsTarget(target))
    const delegated = targets.filter(isDelegating)
    if (delegated.length > 0) this.#signingKeys.grantUnwrap(exchange)
    if (delegated.length < targets.length || targets.length === 0) this.#signingKeys.grantSign(exchange)
  }

  #addIntrospect(): void {
    const { state } = this.#props
    const introspect = this.#function('Introspect', 'introspect', {
      description: 'Tells registered clients what a token is worth (RFC 7662, RFC 9701)',
      // Resource servers wait for it at each of their own requests.
      memoryMegabytes: 1024,
      timeoutSeconds: 10,
      ...this.#ownTokenOptions(),
    })
    this.#grantClaimAssertions(introspect)
    this.#grantReadReferences(introspect)
    state.revocations.grant(introspect, 'dynamodb:BatchGetItem')
    this.#signingKeys.grantRead(introspect)
    this.#signingKeys.grantSign(introspect)
    this.#api.addRoute(INTROSPECTION_PATH, introspect)
  }

  #addRevoke(): void {
    const { state } = this.#props
    const revoke = this.#function('Revoke', 'revoke', {
      description: 'Revokes tokens (RFC 7009), and for operators whatever they descend from',
      memoryMegabytes: 512,
      timeoutSeconds: 10,
      ...this.#ownTokenOptions(),
    })
    this.#grantClaimAssertions(revoke)
    this.#grantReadReferences(revoke)
    // Neither put nor delete: a cut-off can only be added to.
    state.revocations.grant(revoke, 'dynamodb:UpdateItem')
    this.#signingKeys.grantRead(revoke)
    this.#api.addRoute(REVOCATION_PATH, revoke)
    this.#api.addOperatorRoute(OPERATOR_REVOCATION_PATH, revoke)
  }

  /** What it takes to know clients and our own tokens. */
  #ownTokenOptions(): Pick<FunctionOptions, 'settings' | 'files'> {
    const { state, policy } = this.#props
    return {
      settings: {
        issuer: this.#api.issuer,
        ...this.#counting(),
        exchangesTable: state.exchanges.tableName,
        revocationsTable: state.revocations.tableName,
        signingKeysTable: state.signingKeys.tableName,
        ...this.#probeSettings(),
      },
      files: { 'policy.json': JSON.stringify(policy) },
    }
  }

  /** The one thing that these functions write among the exchanges: they could not pretend that one has happened. */
  #grantClaimAssertions(grantee: BrokerFunction): void {
    grantOnKeys(grantee, this.#props.state.exchanges, { actions: ['dynamodb:PutItem'], keys: 'assertion#*' })
  }

  #addJwks(): void {
    const jwks = this.#function('Jwks', 'jwks', {
      description: 'Publishes the signing keys and the metadata of the token broker',
      // One read per cache miss: CPU matters for the cold start's TLS handshake only.
      memoryMegabytes: 512,
      timeoutSeconds: 10,
      settings: {
        issuer: this.#api.issuer,
        signingKeysTable: this.#props.state.signingKeys.tableName,
        ...this.#mutualTls(),
      },
    })
    this.#signingKeys.grantRead(jwks)
    for (const path of METADATA_PATHS) this.#api.addRoute(path, jwks)
  }

  #addStatus(): void {
    const { state } = this.#props
    const status = this.#function('Status', 'status', {
      description: 'Publishes which tokens are revoked (Token Status List)',
      // Once per list and 20 s: a few megabytes to read and one signature to verify.
      memoryMegabytes: 1024,
      timeoutSeconds: 10,
      settings: {
        issuer: this.#api.issuer,
        revocationsTable: state.revocations.tableName,
        signingKeysTable: state.signingKeys.tableName,
        statusTable: state.status.tableName,
      },
    })
    grantOnKeys(status, state.status, { actions: ['dynamodb:Query'], keys: 'list#*' })
    state.revocations.grant(status, 'dynamodb:Scan', 'dynamodb:BatchGetItem')
    this.#signingKeys.grantRead(status)
    this.#signingKeys.grantSign(status)
    this.#api.addRoute(STATUS_PATH, status)
  }

  #addRotateKeys(): void {
    const { state, config } = this.#props
    const rotateKeys = this.#function('RotateKeys', 'rotate-keys', {
      description: 'Moves the signing keys through their states',
      // Nobody waits for it.
      memoryMegabytes: 512,
      // KMS may take up to five minutes until IAM sees the tags of a new key.
      timeoutSeconds: 360,
      settings: {
        // In what is said of delegated keys.
        issuer: this.#api.issuer,
        signingKeysTable: state.signingKeys.tableName,
        // Even where there are no delegated keys, or no more: those of a former policy live out their time.
        delegatedKeySeconds: String(config.delegatedKeyHours * 3600),
        ...this.#delegation(),
        ...this.#rotationSettings(),
      },
    })
    this.#output(
      'RotateKeysFunctionName',
      rotateKeys.lambda.functionName,
      'Function that moves the signing keys',
    )
    this.#signingKeys.grantReconcile(rotateKeys)
    this.#signingKeys.reconcileWith(rotateKeys)
  }

  /** Allows to read reference tokens, and no record of an exchange, from the table that holds both. */
  #grantReadReferences(grantee: BrokerFunction): void {
    grantOnKeys(grantee, this.#props.state.exchanges, { actions: ['dynamodb:GetItem'], keys: 'reference#*' })
  }

  #rotationSettings(): Pick<Settings, 'keyRotationSeconds' | 'verifierCacheSeconds'> {
    const { keyRotationHours, verifierCacheMinutes } = this.#props.config
    return {
      keyRotationSeconds: String(keyRotationHours * 3600),
      verifierCacheSeconds: String(verifierCacheMinutes * 60),
    }
  }

  /** Added last: the log of every other function is exported. */
  #addExportAudit(): void {
    const { audit, exchanges } = this.#props.state
    const sources = [...this.#functions]
    const exporter = this.#function('ExportAudit', 'export-audit', {
      description: 'Writes the audit trail: exchanges, refusals, revocations, and signed checkpoints of it',
      // Nobody waits for it.
      memoryMegabytes: 512,
      // Of a chain whose end is not known, thousands of objects may have to be read.
      timeoutSeconds: 120,
      settings: {
        auditTable: audit.table.tableName,
        auditBucket: audit.bucket.bucketName,
        auditKey: audit.key.keyArn,
      },
    })
    new AuditExport(this, 'AuditExport', { exporter, trail: audit, exchanges, sources })
  }

  /** Whose log holds no audit events: what it does is in the logs of the functions that it asks. */
  #addProbe(): void {
    const { stage } = this.#props.config
    const probe = new Probe(this, 'Probe', { stage })
    const prober = this.#function('Prober', 'probe', {
      description:
        'Tries the token broker each minute: what must work, what must be refused, what is revoked',
      // It waits for others.
      memoryMegabytes: 512,
      // Less than the minute after which it runs again.
      timeoutSeconds: 55,
      settings: { issuer: this.#api.issuer, probeKey: probe.key.keyArn },
    })
    probe.runBy(prober)
    this.#api.addRoute(PROBE_KEYS_PATH, prober)
  }

  /** Of what answers requests. Of the others the newest version runs at once: a batch or a run that fails comes again. */
  #addReleases(config: DeploymentConfig): void {
    new Releases(this, 'Releases', {
      applicationName: this.stackName,
      functions: this.#api.functions,
      alarmNames: releaseAlarmNames(config),
    })
  }

  #probeSettings(): Partial<Settings> {
    return this.#props.config.probe ? { probe: 'enabled' } : {}
  }

  #function(id: string, name: string, options: FunctionOptions): BrokerFunction {
    const { config, functionsFolder } = this.#props
    const { settings, ...rest } = options
    const made = new BrokerFunction(this, id, {
      ...rest,
      entry: join(functionsFolder, name, 'handler.ts'),
      environment: toEnvironment({ stage: config.stage, ...settings }),
      openTelemetryLayer: config.openTelemetryLayer,
      logRetention: config.logRetentionDays,
      removal: this.#removal(),
    })
    this.#functions.push(made)
    return made
  }

  #removal(): RemovalPolicy {
    return this.#props.config.removalProtection ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY
  }

  #addOutputs(): void {
    const { issuer, domainName } = this.#api
    const jwksUrl = `${issuer}${JWKS_PATH}`
    this.#output(
      'Issuer',
      issuer,
      'Issuer of every token: what verifiers and AWS identity providers are told',
    )
    this.#output('TokenUrl', `${issuer}${TOKEN_PATH}`, 'Token endpoint: POST an exchange here (RFC 8693)')
    this.#output(
      'IntrospectionUrl',
      `${issuer}${INTROSPECTION_PATH}`,
      'Introspection endpoint, for clients that policy registers (RFC 7662)',
    )
    this.#output(
      'RevocationUrl',
      `${issuer}${REVOCATION_PATH}`,
      'Revocation endpoint, for clients that policy registers (RFC 7009)',
    )
    this.#output(
      'OperatorRevocationUrl',
      `${issuer}${OPERATOR_REVOCATION_PATH}`,
      'Where operators revoke, with requests that they sign for execute-api',
    )
    this.#output('JwksUrl', jwksUrl, 'Public signing keys (RFC 7517)')
    this.#output(
      'OpenIdConfigurationUrl',
      `${issuer}${OPENID_CONFIGURATION_PATH}`,
      'Discovery document, for verifiers that read only this',
    )
    const { mutualTlsDomainName, mutualTlsUrl } = this.#api
    if (mutualTlsDomainName && mutualTlsUrl) {
      this.#output('MutualTlsUrl', mutualTlsUrl, 'Where clients show certificates: base of their endpoints')
      this.#output(
        'MutualTlsDomainTarget',
        mutualTlsDomainName.regionalDomainName,
        'Point the DNS record of that domain here',
      )
    }
    if (domainName) {
      this.#output('DomainTarget', domainName.regionalDomainName, 'Point the DNS record of the domain here')
    }
    this.#output(
      'NextCommand',
      `curl --fail ${jwksUrl}`,
      'Run this next: it lists the keys that the broker signs with',
    )
  }

  /** By these `npx token-broker keys` plans as the rotation does. */
  #addKeyOutputs(): void {
    const { keyRotationSeconds, verifierCacheSeconds } = this.#rotationSettings()
    this.#output('Region', this.region, 'Region of the broker')
    this.#output('KeyRotationSeconds', keyRotationSeconds, 'How long a signing key signs')
    const delegatedKeySeconds = String(this.#props.config.delegatedKeyHours * 3600)
    this.#output('DelegatedKeySeconds', delegatedKeySeconds, 'How long a delegated key signs')
    const { wrappingKeyArn } = this.#signingKeys
    if (wrappingKeyArn !== undefined)
      this.#output('WrappingKeyArn', wrappingKeyArn, 'KMS key that encrypts delegated keys')
    this.#output(
      'VerifierCacheSeconds',
      verifierCacheSeconds,
      'How long the slowest verifier keeps the public keys',
    )
  }

  #output(id: string, value: string, description: string): void {
    new CfnOutput(this, id, { value, description })
  }
}

/** Allows to act on those items of a table whose partition key is like `keys`. */
function grantOnKeys(
  grantee: BrokerFunction,
  table: TableV2,
  { actions, keys }: { readonly actions: string[]; readonly keys: string },
): void {
  Grant.addToPrincipal({
    grantee,
    actions,
    resourceArns: [table.tableArn],
    conditions: {
      'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': [keys] },
      // Of a request that names no key, ForAllValues holds.
      Null: { 'dynamodb:LeadingKeys': 'false' },
    },
  })
}
