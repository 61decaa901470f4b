import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Template } from 'aws-cdk-lib/assertions'
import { describe, expect, it } from 'vitest'
import type { Target } from '../../functions/core/policy/compiled.ts'
import { LOCAL_ISSUERS_VARIABLE } from '../../functions/settings.ts'
import { awsTarget } from '../support/aws-roles.ts'
import { EMPTY_POLICY, policyOf, readable, resources, synthesize } from './synthesize.ts'

const { service, assembly } = synthesize()
const { service: withoutProbe } = synthesize({ probe: false })

function only(type: string, template = service): Readonly<Record<string, unknown>> {
  const found = Object.values(resources(template, type))
  expect(found).toHaveLength(1)
  return readable(found[0]?.Properties) as Record<string, unknown>
}

function lambdaOf(name: string): Readonly<Record<string, unknown>> {
  const functions = Object.entries(resources(service, 'AWS::Lambda::Function'))
  const found = functions.find(([id]) => id.startsWith(`${name}Function`))
  return readable(found?.[1].Properties) as Record<string, unknown>
}

describe('the API', () => {
  it('sends every method of each path to one function, in payload format 1.0; operators have to sign', () => {
    const integrations = resources(service, 'AWS::ApiGatewayV2::Integration')
    const routes = Object.values(resources(service, 'AWS::ApiGatewayV2::Route')).map((route) => {
      const target = JSON.stringify(route.Properties['Target'])
      const [, integration] = Object.entries(integrations).find(([id]) => target.includes(id)) ?? []
      const { IntegrationType, IntegrationUri, PayloadFormatVersion } = readable(
        integration?.Properties,
      ) as Record<string, string>
      const { RouteKey, AuthorizationType = 'NONE' } = route.Properties
      return [RouteKey, AuthorizationType, IntegrationType, IntegrationUri, PayloadFormatVersion].join(' ')
    })
    expect(routes.sort()).toEqual([
      'ANY /.well-known/jwks.json NONE AWS_PROXY <JwksLive> 1.0',
      'ANY /.well-known/oauth-authorization-server NONE AWS_PROXY <JwksLive> 1.0',
      'ANY /.well-known/openid-configuration NONE AWS_PROXY <JwksLive> 1.0',
      'ANY /admin/revocations AWS_IAM AWS_PROXY <RevokeLive> 1.0',
      'ANY /health NONE AWS_PROXY <JwksLive> 1.0',
      'ANY /introspect NONE AWS_PROXY <IntrospectLive> 1.0',
      'ANY /probe/jwks.json NONE AWS_PROXY <ProberLive> 1.0',
      'ANY /revoke NONE AWS_PROXY <RevokeLive> 1.0',
      'ANY /status/{list} NONE AWS_PROXY <StatusLive> 1.0',
      'ANY /token NONE AWS_PROXY <ExchangeLive> 1.0',
    ])
  })

  it('is throttled by default', () => {
    expect(only('AWS::ApiGatewayV2::Stage')['DefaultRouteSettings']).toEqual({
      ThrottlingBurstLimit: 1000,
      ThrottlingRateLimit: 500,
    })
  })

  it('logs each request, but nothing of it in which a client could put a token', () => {
    const { AccessLogSettings } = only('AWS::ApiGatewayV2::Stage')
    const { Format } = AccessLogSettings as { readonly Format: string }
    const variables = Object.values(JSON.parse(Format) as Record<string, string>)
    expect(variables).toContain('$context.requestId')
    for (const variable of variables)
      expect(variable).not.toMatch(/path|query|header|body|request\.|protocol/i)
  })

  it('is the issuer, by its own endpoint', () => {
    expect(lambdaOf('Exchange')['Environment']).toMatchObject({
      Variables: { BROKER_ISSUER: '<ApiHttpApi.ApiEndpoint>' },
    })
  })
})

describe('a custom domain', () => {
  const domain = {
    name: 'broker.example.com',
    certificateArn: 'arn:aws:acm:eu-west-1:111122223333:certificate/abc-123',
  }
  const { service: custom } = synthesize({ domain })

  it('is the issuer and the only way in', () => {
    expect(only('AWS::ApiGatewayV2::Api', custom)['DisableExecuteApiEndpoint']).toBe(true)
    expect(only('AWS::ApiGatewayV2::ApiMapping', custom)['Stage']).toBe('$default')
    const issuers = Object.values(resources(custom, 'AWS::Lambda::Function')).flatMap((each) => {
      const { Variables } = each.Properties['Environment'] as { readonly Variables: Record<string, unknown> }
      return Variables['BROKER_ISSUER'] ?? []
    })
    expect(issuers).toEqual(Array(7).fill('https://broker.example.com'))
  })

  it('takes TLS 1.2 and up, with the given certificate', () => {
    expect(only('AWS::ApiGatewayV2::DomainName', custom)).toMatchObject({
      DomainName: 'broker.example.com',
      DomainNameConfigurations: [{ CertificateArn: domain.certificateArn, SecurityPolicy: 'TLS_1_2' }],
    })
  })

  it('is told where its DNS record has to point', () => {
    expect(Object.keys(custom.findOutputs('DomainTarget'))).toHaveLength(1)
  })
})

describe('a domain where clients show certificates', () => {
  const domain = {
    name: 'broker.example.com',
    certificateArn: 'arn:aws:acm:eu-west-1:111122223333:certificate/abc-123',
    mutualTls: {
      name: 'mtls.broker.example.com',
      certificateArn: 'arn:aws:acm:eu-west-1:111122223333:certificate/def-456',
      truststore: 's3://trust-bucket/of/clients.pem',
      truststoreVersion: 'v1',
    },
  }
  const { service: mutual } = synthesize({ domain })
  const domains = Object.values(resources(mutual, 'AWS::ApiGatewayV2::DomainName'))
  const named = (name: string) =>
    domains.find(({ Properties }) => Properties['DomainName'] === name)?.Properties

  it('is a second one of the same API, and the only one that asks for them', () => {
    expect(domains).toHaveLength(2)
    expect(named('mtls.broker.example.com')).toMatchObject({
      MutualTlsAuthentication: { TruststoreUri: 's3://trust-bucket/of/clients.pem', TruststoreVersion: 'v1' },
      DomainNameConfigurations: [
        { CertificateArn: domain.mutualTls.certificateArn, SecurityPolicy: 'TLS_1_2' },
      ],
    })
    expect(named('broker.example.com')).not.toHaveProperty('MutualTlsAuthentication')
    const mappings = Object.values(resources(mutual, 'AWS::ApiGatewayV2::ApiMapping'))
    expect(mappings.map(({ Properties }) => Properties['Stage'])).toEqual(['$default', '$default'])
  })

  it('is told to those that need to know, and to nobody where there is none', () => {
    const told = (template: typeof mutual) =>
      Object.entries(resources(template, 'AWS::Lambda::Function'))
        .filter(([, { Properties }]) =>
          JSON.stringify(Properties).includes('"MTLS_URL":"https://mtls.broker.example.com"'),
        )
        .map(([id]) => id.replace(/Function.*/, ''))
    expect(told(mutual).toSorted()).toEqual(['Exchange', 'Jwks'])
    expect(told(service)).toEqual([])
    expect(Object.keys(mutual.findOutputs('MutualTlsDomainTarget'))).toHaveLength(1)
    expect(Object.keys(mutual.findOutputs('MutualTlsUrl'))).toHaveLength(1)
  })
})

describe('the functions', () => {
  it.each(['Exchange', 'Introspect', 'Revoke', 'Jwks', 'RotateKeys', 'Status'])(
    '%s runs on Node 24, on arm64, traced, with its own log',
    (name) => {
      expect(lambdaOf(name)).toMatchObject({
        Runtime: 'nodejs24.x',
        Architectures: ['arm64'],
        Handler: 'index.handler',
        TracingConfig: { Mode: 'Active' },
        LoggingConfig: { LogGroup: `<${name}Logs>` },
        Role: `<${name}Role.Arn>`,
      })
    },
  )

  it.each(['Exchange', 'Introspect', 'Revoke', 'Jwks', 'RotateKeys', 'Status'])(
    '%s may not run before its permissions exist',
    (name) => {
      const functions = resources(service, 'AWS::Lambda::Function')
      const [, found] = Object.entries(functions).find(([id]) => id.startsWith(`${name}Function`)) ?? []
      expect(found?.DependsOn).toEqual(
        expect.arrayContaining([expect.stringMatching(`^${name}RoleDefaultPolicy`)]),
      )
    },
  )

  it('know what a fast answer is where they count requests, and only there', () => {
    const { service: patient } = synthesize(
      { monitoring: { latencyMilliseconds: 350 } },
      { ...EMPTY_POLICY, targets: [awsTarget()] },
    )
    const known = Object.entries(resources(patient, 'AWS::Lambda::Function')).flatMap(
      ([id, { Properties }]) => {
        const { Variables } = Properties['Environment'] as { readonly Variables: Record<string, unknown> }
        const value = Variables['LATENCY_MILLISECONDS']
        return value === undefined ? [] : [[id.replace(/Function.*/, ''), value]]
      },
    )
    expect(Object.fromEntries(known)).toEqual({
      AwsCredentials: '350',
      Exchange: '350',
      Introspect: '350',
      Revoke: '350',
    })
  })

  it('know the tables that they use and no other', () => {
    const tables = (name: string) => {
      const { Variables } = lambdaOf(name)['Environment'] as { readonly Variables: Record<string, string> }
      return Object.keys(Variables).filter((variable) => variable.endsWith('_TABLE'))
    }
    expect(tables('Exchange').sort()).toEqual([
      'EXCHANGES_TABLE',
      'LIMITS_TABLE',
      'REVOCATIONS_TABLE',
      'SIGNING_KEYS_TABLE',
      'STATUS_TABLE',
    ])
    expect(tables('Status').sort()).toEqual(['REVOCATIONS_TABLE', 'SIGNING_KEYS_TABLE', 'STATUS_TABLE'])
    for (const name of ['Introspect', 'Revoke'])
      expect(tables(name).sort()).toEqual(['EXCHANGES_TABLE', 'REVOCATIONS_TABLE', 'SIGNING_KEYS_TABLE'])
    expect(tables('Jwks')).toEqual(['SIGNING_KEYS_TABLE'])
    expect(tables('RotateKeys')).toEqual(['SIGNING_KEYS_TABLE'])
  })

  it('carry the compiled policy only where it decides', () => {
    const assets = (name: string) => {
      const { Code } = lambdaOf(name) as { readonly Code: { readonly S3Key: string } }
      return join(assembly.directory, `asset.${Code.S3Key.replace('.zip', '')}`)
    }
    for (const name of ['Exchange', 'Introspect', 'Revoke'])
      expect(JSON.parse(readFileSync(join(assets(name), 'policy.json'), 'utf8'))).toEqual(EMPTY_POLICY)
    expect(() => readFileSync(join(assets('Jwks'), 'policy.json'))).toThrow(/ENOENT/)
  })

  it('and the API keep their logs for the configured time, also when the stack is gone', () => {
    const { service: shorter } = synthesize({ logRetentionDays: 30 })
    const groups = Object.values(resources(shorter, 'AWS::Logs::LogGroup'))
    expect(groups).toHaveLength(9)
    for (const group of groups) {
      expect(group.Properties['RetentionInDays']).toBe(30)
      expect(group.DeletionPolicy).toBe('Retain')
    }
  })
})

describe('key rotation', () => {
  it('runs while the stack is deployed, before anyone can ask for a token', () => {
    expect(only('Custom::SigningKeys')).toEqual({
      ServiceToken: '<RotateKeysFunction.Arn>',
      ServiceTimeout: '900',
      reason: 'first signing keys',
      version: '2',
      delegated: 'false',
    })
  })

  it('is told its times, in seconds', () => {
    const { service: daily } = synthesize({ keyRotationHours: 24, verifierCacheMinutes: 60 })
    const functions = Object.entries(resources(daily, 'AWS::Lambda::Function'))
    const [, found] = functions.find(([id]) => id.startsWith('RotateKeysFunction')) ?? []
    expect(found?.Properties['Environment']).toMatchObject({
      Variables: {
        KEY_ROTATION_SECONDS: '86400',
        DELEGATED_KEY_SECONDS: '86400',
        VERIFIER_CACHE_SECONDS: '3600',
      },
    })
  })

  it('runs every 15 minutes after that', () => {
    const rules = Object.values(resources(service, 'AWS::Events::Rule')).map(({ Properties }) =>
      readable(Properties),
    )
    expect(rules).toContainEqual({
      Description: expect.any(String),
      ScheduleExpression: 'rate(15 minutes)',
      State: 'ENABLED',
      Targets: [
        {
          Arn: '<RotateKeysFunction.Arn>',
          Id: 'Target0',
          RetryPolicy: { MaximumEventAgeInSeconds: 600, MaximumRetryAttempts: 2 },
        },
      ],
    })
  })

  it('leaves the KMS keys out of the template, where a deployment could delete them', () => {
    expect(Object.keys(resources(withoutProbe, 'AWS::KMS::Key'))).toEqual([])
  })
})

describe('OpenTelemetry', () => {
  const openTelemetryLayer = 'arn:aws:lambda:eu-west-1:615299751070:layer:AWSOpenTelemetryDistroJs:8'

  it('is a layer of every function, started by its wrapper, where it is wanted', () => {
    const { service: traced } = synthesize({ openTelemetryLayer })
    const functions = Object.values(resources(traced, 'AWS::Lambda::Function'))
    expect(functions.length).toBeGreaterThan(7)
    for (const { Properties } of functions)
      expect(Properties).toMatchObject({
        Layers: [openTelemetryLayer],
        Environment: { Variables: { AWS_LAMBDA_EXEC_WRAPPER: '/opt/otel-instrument' } },
      })
  })

  it('is in no function otherwise', () => {
    for (const { Properties } of Object.values(resources(service, 'AWS::Lambda::Function'))) {
      expect(Properties).not.toHaveProperty('Layers')
      expect(JSON.stringify(Properties)).not.toContain('AWS_LAMBDA_EXEC_WRAPPER')
    }
  })
})

describe('the probe', () => {
  it('runs each minute, for less than a minute, and not again for what failed', () => {
    const rules = Object.values(resources(service, 'AWS::Events::Rule')).map(({ Properties }) => Properties)
    expect(readable(rules.find((rule) => rule['ScheduleExpression'] === 'rate(1 minute)'))).toMatchObject({
      Targets: [
        {
          Arn: '<ProberLive>',
          RetryPolicy: { MaximumEventAgeInSeconds: 60, MaximumRetryAttempts: 0 },
        },
      ],
    })
    const configs = Object.values(resources(service, 'AWS::Lambda::EventInvokeConfig'))
    expect(configs.map(({ Properties }) => readable(Properties))).toContainEqual({
      FunctionName: '<ProberFunction>',
      Qualifier: expect.anything(),
      MaximumEventAgeInSeconds: 60,
      MaximumRetryAttempts: 0,
    })
    expect(lambdaOf('Prober')['Timeout']).toBe(55)
  })

  it('has a key that no signer of tokens may use', () => {
    const [key] = Object.values(resources(service, 'AWS::KMS::Key'))
    expect(key?.Properties).toMatchObject({
      KeySpec: 'ECC_NIST_P256',
      Tags: [
        { Key: 'token-broker:purpose', Value: 'probe' },
        { Key: 'token-broker:stage', Value: 'dev' },
      ],
    })
  })

  it('is known to the three functions that decide by policy, and only where it is wanted', () => {
    const knowing = (template: Template) =>
      Object.entries(resources(template, 'AWS::Lambda::Function')).flatMap(([id, { Properties }]) => {
        const { Variables } = Properties['Environment'] as { readonly Variables: Record<string, unknown> }
        return Variables['PROBE'] === undefined ? [] : [id.replace(/Function.*/, '')]
      })
    expect(knowing(service)).toEqual(['Exchange', 'Introspect', 'Revoke'])
    expect(knowing(withoutProbe)).toEqual([])
    const ids = Object.keys(withoutProbe.toJSON()['Resources'] as object)
    expect(ids.filter((id) => /probe/i.test(id))).toEqual([])
  })
})

describe('delegated signing', () => {
  const { service: delegating } = synthesize(
    { delegatedKeyHours: 6, probe: false },
    policyOf('kms', 'delegated'),
  )
  const variables = (name: string, template = delegating) => {
    const functions = Object.entries(resources(template, 'AWS::Lambda::Function'))
    const [, found] = functions.find(([id]) => id.startsWith(`${name}Function`)) ?? []
    const environment = found?.Properties['Environment'] as { readonly Variables: object } | undefined
    return readable(environment?.Variables)
  }

  it('has a key that is kept and rotated, where a target asks for it', () => {
    const [key, ...others] = Object.values(resources(delegating, 'AWS::KMS::Key'))
    expect(others).toEqual([])
    expect(key).toMatchObject({ DeletionPolicy: 'Retain', Properties: { EnableKeyRotation: true } })
    const { service: toThrowAway } = synthesize(
      { removalProtection: false, probe: false },
      policyOf('delegated'),
    )
    expect(Object.values(resources(toThrowAway, 'AWS::KMS::Key'))[0]?.DeletionPolicy).toBe('Delete')
  })

  it('tells the functions that sign and rotate about it, and only then', () => {
    const known = { WRAPPING_KEY_ARN: '<SigningKeysWrappingKey.Arn>', DELEGATED_KEY_SECONDS: '21600' }
    expect(variables('Exchange')).toMatchObject(known)
    expect(variables('RotateKeys')).toMatchObject(known)
    expect(variables('Jwks')).not.toHaveProperty('WRAPPING_KEY_ARN')
    for (const name of ['Exchange', 'RotateKeys'])
      expect(variables(name, service)).not.toHaveProperty('WRAPPING_KEY_ARN')
  })

  it('has the first keys made when it begins and ends', () => {
    expect(only('Custom::SigningKeys', delegating)).toMatchObject({ delegated: 'true' })
  })
})

describe('nonces of DPoP proofs', () => {
  const targets = policyOf('kms').targets.map(
    (target) => ({ ...target, binding: 'dpop', dpopNonce: true }) as Target,
  )
  const { service: withNonces } = synthesize({ probe: false }, { ...policyOf('kms'), targets })

  it('have a key for MACs that goes with the stack, and that the exchange function is told', () => {
    const [key, ...others] = Object.values(resources(withNonces, 'AWS::KMS::Key'))
    expect(others).toEqual([])
    expect(key).toMatchObject({
      DeletionPolicy: 'Delete',
      Properties: { KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' },
    })
    const told = Object.values(resources(withNonces, 'AWS::Lambda::Function')).filter(({ Properties }) =>
      JSON.stringify(readable(Properties)).includes('"NONCE_KEY_ARN":"<DpopNoncesKey.Arn>"'),
    )
    expect(told).toHaveLength(1)
  })
})

describe('the audit export', () => {
  it('gives no record up while the stream holds it, and tells where it was when it must', () => {
    const mapping = only('AWS::Lambda::EventSourceMapping')
    expect(mapping).toMatchObject({
      EventSourceArn: '<import token-broker-dev-state:ExportsOutputFnGetAttExchangesStreamArn>',
      StartingPosition: 'TRIM_HORIZON',
      ParallelizationFactor: 1,
      BisectBatchOnFunctionError: true,
      FunctionResponseTypes: ['ReportBatchItemFailures'],
      MaximumRecordAgeInSeconds: 23 * 3600,
      DestinationConfig: { OnFailure: { Destination: '<AuditExportUndelivered.Arn>' } },
    })
    expect(mapping).not.toHaveProperty('MaximumRetryAttempts')
  })

  it('leaves out what TTL deletes, and nothing else', () => {
    const { FilterCriteria } = only('AWS::Lambda::EventSourceMapping')
    const { Filters } = FilterCriteria as { readonly Filters: readonly { readonly Pattern: string }[] }
    expect(Filters.map(({ Pattern }) => JSON.parse(Pattern) as unknown)).toEqual([
      { eventName: ['INSERT', 'MODIFY'] },
      { eventName: ['REMOVE'], userIdentity: { type: [{ exists: false }] } },
    ])
  })

  it('reads the audit events of every function’s log but its own', () => {
    const filters = Object.values(resources(service, 'AWS::Logs::SubscriptionFilter'))
    const read = filters.map(({ Properties }) => readable(Properties) as Record<string, string>)
    expect(read.map(({ LogGroupName = '' }) => LogGroupName).sort()).toEqual([
      '<ExchangeLogs>',
      '<IntrospectLogs>',
      '<JwksLogs>',
      '<RevokeLogs>',
      '<RotateKeysLogs>',
      '<StatusLogs>',
    ])
    for (const { FilterPattern } of read) expect(FilterPattern).toBe('{ $.audit.event = "*" }')
  })

  it('keeps for 14 days what it could not deliver', () => {
    expect(only('AWS::SQS::Queue')).toMatchObject({ MessageRetentionPeriod: 1_209_600 })
    expect(only('AWS::Lambda::EventInvokeConfig', withoutProbe)).toMatchObject({
      DestinationConfig: { OnFailure: { Destination: '<AuditExportUndelivered.Arn>' } },
      MaximumRetryAttempts: 2,
    })
  })
})

describe('the outputs', () => {
  it('say where everything is and what to type next', () => {
    const all = service.toJSON()['Outputs'] as Record<
      string,
      { readonly Value: unknown; readonly Description?: string }
    >
    // The monitoring stack reads the rest: CDK makes and names it.
    const outputs = Object.fromEntries(Object.entries(all).filter(([name]) => !/^PublishOutput/.test(name)))
    const values = Object.entries(outputs).map(([name, output]) => [name, readable(output.Value)])
    expect(Object.fromEntries(values)).toEqual({
      Issuer: '<ApiHttpApi.ApiEndpoint>',
      TokenUrl: '<ApiHttpApi.ApiEndpoint>/token',
      IntrospectionUrl: '<ApiHttpApi.ApiEndpoint>/introspect',
      RevocationUrl: '<ApiHttpApi.ApiEndpoint>/revoke',
      OperatorRevocationUrl: '<ApiHttpApi.ApiEndpoint>/admin/revocations',
      JwksUrl: '<ApiHttpApi.ApiEndpoint>/.well-known/jwks.json',
      OpenIdConfigurationUrl: '<ApiHttpApi.ApiEndpoint>/.well-known/openid-configuration',
      RotateKeysFunctionName: '<RotateKeysFunction>',
      Region: '<AWS::Region>',
      KeyRotationSeconds: '2592000',
      DelegatedKeySeconds: '86400',
      VerifierCacheSeconds: '7200',
      NextCommand: 'curl --fail <ApiHttpApi.ApiEndpoint>/.well-known/jwks.json',
    })
    for (const output of Object.values(outputs)) expect(output.Description).toBeTruthy()
  })
})

describe('what only the local cloud may say', () => {
  it('stands in no template: it would let functions trust loopback', () => {
    expect(JSON.stringify(service)).not.toContain(LOCAL_ISSUERS_VARIABLE)
  })
})
