import { AccessLogFormat } from 'aws-cdk-lib/aws-apigateway'
import {
  ApiMapping,
  DomainName,
  HttpApi,
  HttpMethod,
  LogGroupLogDestination,
  PayloadFormatVersion,
  SecurityPolicy,
} from 'aws-cdk-lib/aws-apigatewayv2'
import { HttpIamAuthorizer } from 'aws-cdk-lib/aws-apigatewayv2-authorizers'
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations'
import { Certificate } from 'aws-cdk-lib/aws-certificatemanager'
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs'
import { Bucket } from 'aws-cdk-lib/aws-s3'
import { type RemovalPolicy, Validations } from 'aws-cdk-lib/core'
import { Construct } from 'constructs'
import type { DomainConfig, MutualTlsConfig } from '../config.ts'
import type { BrokerFunction } from './broker-function.ts'

/**
 * Per route and second. KMS signs 1,000 times a second with an account's RSA keys unless the quota is raised: a flood gets
 * 429 here, before it can use that up.
 */
const THROTTLE = { rateLimit: 500, burstLimit: 1000 }

/**
 * What a request leaves in the access log. The route and not the path, no query, no header: whatever a client may put a
 * token into stays out. `requestId` leads to the function's own log.
 */
const ACCESS_LOG = {
  requestId: '$context.requestId',
  time: '$context.requestTimeEpoch',
  route: '$context.routeKey',
  method: '$context.httpMethod',
  status: '$context.status',
  latency: '$context.responseLatency',
  integrationStatus: '$context.integrationStatus',
  integrationError: '$context.integrationErrorMessage',
  integrationLatency: '$context.integrationLatency',
  sourceIp: '$context.identity.sourceIp',
} as const

export interface BrokerApiProps {
  /** Shown in the API Gateway console. */
  readonly apiName: string
  /**
   * Custom domain; the execute-api endpoint is disabled with it.
   * @default - the endpoint that API Gateway assigns
   */
  readonly domain?: DomainConfig | undefined
  readonly logRetention: RetentionDays
  /** What becomes of the access log when the stack is deleted. */
  readonly logRemoval: RemovalPolicy
}

/** The HTTPS front door: routes to functions, throttled and logged. */
export class BrokerApi extends Construct {
  /** The broker's issuer URL, without a slash at its end. */
  readonly issuer: string
  /** The custom domain, if there is one: its DNS record points at `regionalDomainName`. */
  readonly domainName: DomainName | undefined
  /** The custom domain at which clients show certificates, if there is one. */
  readonly mutualTlsDomainName: DomainName | undefined
  /** Base of the endpoints there. */
  readonly mutualTlsUrl: string | undefined
  readonly #api: HttpApi
  readonly #integrations = new Map<BrokerFunction, HttpLambdaIntegration>()

  constructor(scope: Construct, id: string, props: BrokerApiProps) {
    super(scope, id)
    this.domainName = props.domain && this.#customDomain(props.domain)
    const mutualTls = props.domain?.mutualTls
    this.mutualTlsDomainName = mutualTls && this.#mutualTlsDomain(mutualTls)
    this.mutualTlsUrl = mutualTls && `https://${mutualTls.name}`
    this.#api = new HttpApi(this, 'HttpApi', {
      apiName: props.apiName,
      createDefaultStage: false,
      disableExecuteApiEndpoint: this.domainName !== undefined,
    })
    this.issuer = props.domain ? `https://${props.domain.name}` : this.#api.apiEndpoint
    this.#addStage(props)
    Validations.of(this.#api).acknowledge({
      id: 'AwsSolutions-APIG4',
      reason:
        'A token endpoint is where clients get authorised: it verifies the subject token itself, and metadata is public',
    })
  }

  get apiId(): string {
    return this.#api.apiId
  }

  /** The functions that answer its requests. */
  get functions(): readonly BrokerFunction[] {
    return [...this.#integrations.keys()]
  }

  /** Sends `path` to the function, whatever the method: the functions answer 405 with `Allow` themselves. */
  addRoute(path: string, target: BrokerFunction): void {
    this.#api.addRoutes({ path, methods: [HttpMethod.ANY], integration: this.#integration(target) })
  }

  /**
   * As {@link addRoute}, for callers who sign their requests (Signature Version 4) and may `execute-api:Invoke` the route:
   * the function is told who they are.
   */
  addOperatorRoute(path: string, target: BrokerFunction): void {
    this.#api.addRoutes({
      path,
      methods: [HttpMethod.ANY],
      integration: this.#integration(target),
      authorizer: new HttpIamAuthorizer(),
    })
  }

  #integration(target: BrokerFunction): HttpLambdaIntegration {
    const existing = this.#integrations.get(target)
    if (existing) return existing
    const integration = new HttpLambdaIntegration(target.node.id, target.live, {
      // 1.0 keeps repeated headers apart; 2.0 joins them with commas.
      payloadFormatVersion: PayloadFormatVersion.VERSION_1_0,
    })
    this.#integrations.set(target, integration)
    return integration
  }

  #addStage(props: BrokerApiProps): void {
    const accessLog = new LogGroup(this, 'AccessLog', {
      retention: props.logRetention,
      removalPolicy: props.logRemoval,
    })
    const stage = this.#api.addStage('DefaultStage', {
      stageName: '$default',
      autoDeploy: true,
      throttle: THROTTLE,
      accessLogSettings: {
        destination: new LogGroupLogDestination(accessLog),
        format: AccessLogFormat.custom(JSON.stringify(ACCESS_LOG)),
      },
      ...(this.domainName && { domainMapping: { domainName: this.domainName } }),
    })
    const { mutualTlsDomainName: domainName } = this
    if (domainName !== undefined)
      new ApiMapping(this, 'MutualTlsMapping', { api: this.#api, domainName, stage })
  }

  /** API Gateway lets nobody in whose certificate the truststore does not stand for, and tells functions which it was. */
  #mutualTlsDomain({ name, certificateArn, truststore, truststoreVersion }: MutualTlsConfig): DomainName {
    const [bucketName = '', ...key] = truststore.replace(/^s3:\/\//, '').split('/')
    return new DomainName(this, 'MutualTlsDomain', {
      domainName: name,
      certificate: Certificate.fromCertificateArn(this, 'MutualTlsCertificate', certificateArn),
      securityPolicy: SecurityPolicy.TLS_1_2,
      mtls: {
        bucket: Bucket.fromBucketName(this, 'Truststore', bucketName),
        key: key.join('/'),
        version: truststoreVersion,
      },
    })
  }

  #customDomain(domain: DomainConfig): DomainName {
    return new DomainName(this, 'Domain', {
      domainName: domain.name,
      certificate: Certificate.fromCertificateArn(this, 'Certificate', domain.certificateArn),
      securityPolicy: SecurityPolicy.TLS_1_2,
    })
  }
}
