import { join } from 'node:path'
import { CfnOutput, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib/core'
import type { Construct } from 'constructs'
import type { CompiledPolicy } from '../../functions/core/policy/compiled.ts'
import { type Settings, toEnvironment } from '../../functions/settings.ts'
import type { DeploymentConfig } from '../config.ts'
import { BrokerApi } from '../constructs/broker-api.ts'
import { BrokerFunction, type BrokerFunctionProps } from '../constructs/broker-function.ts'
import { SigningKeys } from '../constructs/signing-keys.ts'
import type { StateStack } from './state-stack.ts'

const TOKEN_PATH = '/token'
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

  constructor(scope: Construct, id: string, props: ServiceStackProps) {
    super(scope, id, props)
    this.#props = props
    this.#api = new BrokerApi(this, 'Api', {
      apiName: this.stackName,
      domain: props.config.domain,
      logRetention: props.config.logRetentionDays,
      logRemoval: this.#logRemoval(),
    })
    this.#signingKeys = new SigningKeys(this, 'SigningKeys', {
      table: props.state.signingKeys,
      stage: props.config.stage,
      isDelegating: props.policy.targets.some(({ signing }) => signing === 'delegated'),
      removalProtection: props.config.removalProtection,
    })
    this.#addExchange()
    this.#addJwks()
    this.#addRotateKeys()
    this.#addOutputs()
  }

  #addExchange(): void {
    const { state, policy } = this.#props
    const exchange = this.#function('Exchange', 'exchange', {
      description: 'Exchanges a token of a trusted issuer for a scoped, short-lived one (RFC 8693)',
      // Over half a vCPU: two TLS handshakes and up to two RSA verifications are what a caller waits for.
      memoryMegabytes: 1024,
      // Twice the request deadline, for a cold start before it.
      timeoutSeconds: 10,
      settings: {
        issuer: this.#api.issuer,
        exchangesTable: state.exchanges.tableName,
        revocationsTable: state.revocations.tableName,
        signingKeysTable: state.signingKeys.tableName,
        ...this.#delegation(),
      },
      files: { 'policy.json': JSON.stringify(policy) },
    })
    state.exchanges.grant(exchange, 'dynamodb:PutItem')
    state.revocations.grant(exchange, 'dynamodb:BatchGetItem')
    this.#signingKeys.grantRead(exchange)
    this.#grantSigning(exchange)
    this.#api.addRoute(TOKEN_PATH, exchange)
  }

  /** What a function needs to know of delegated keys, where there are any. */
  #delegation(): Partial<Settings> {
    const { wrappingKeyArn } = this.#signingKeys
    if (wrappingKeyArn === undefined) return {}
    return { wrappingKeyArn, delegatedKeySeconds: String(this.#props.config.delegatedKeyHours * 3600) }
  }

  /** Each way of signing only where a target has chosen it: not by mistake could one stand in for the other. */
  #grantSigning(exchange: BrokerFunction): void {
    const { targets } = this.#props.policy
    const delegated = targets.filter(({ signing }) => signing === 'delegated')
    if (delegated.length > 0) this.#signingKeys.grantUnwrap(exchange)
    if (delegated.length < targets.length || targets.length === 0) this.#signingKeys.grantSign(exchange)
  }

  #addJwks(): void {
    const jwks = this.#function('Jwks', 'jwks', {
      description: 'Publishes the signing keys and the metadata of the token broker',
      // One read per cache miss: CPU matters for the cold start's TLS handshake only.
      memoryMegabytes: 512,
      timeoutSeconds: 10,
      settings: { issuer: this.#api.issuer, signingKeysTable: this.#props.state.signingKeys.tableName },
    })
    this.#signingKeys.grantRead(jwks)
    for (const path of METADATA_PATHS) this.#api.addRoute(path, jwks)
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
        keyRotationSeconds: String(config.keyRotationHours * 3600),
        // Even where there are no such keys, or no more: those of a former policy live out their time.
        delegatedKeySeconds: String(config.delegatedKeyHours * 3600),
        ...this.#delegation(),
        verifierCacheSeconds: String(config.verifierCacheMinutes * 60),
      },
    })
    this.#signingKeys.grantReconcile(rotateKeys)
    this.#signingKeys.reconcileWith(rotateKeys)
  }

  #function(id: string, name: string, options: FunctionOptions): BrokerFunction {
    const { config, functionsFolder } = this.#props
    const { settings, ...rest } = options
    return new BrokerFunction(this, id, {
      ...rest,
      entry: join(functionsFolder, name, 'handler.ts'),
      environment: toEnvironment({ stage: config.stage, ...settings }),
      logRetention: config.logRetentionDays,
      logRemoval: this.#logRemoval(),
    })
  }

  #logRemoval(): RemovalPolicy {
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
    this.#output('JwksUrl', jwksUrl, 'Public signing keys (RFC 7517)')
    this.#output(
      'OpenIdConfigurationUrl',
      `${issuer}${OPENID_CONFIGURATION_PATH}`,
      'Discovery document, for verifiers that read only this',
    )
    if (domainName) {
      this.#output('DomainTarget', domainName.regionalDomainName, 'Point the DNS record of the domain here')
    }
    this.#output(
      'NextCommand',
      `curl --fail ${jwksUrl}`,
      'Run this next: it lists the keys that the broker signs with',
    )
  }

  #output(id: string, value: string, description: string): void {
    new CfnOutput(this, id, { value, description })
  }
}
