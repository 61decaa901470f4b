import { describe, expect, it } from 'vitest'
import type { AwsTarget, Grant, Target } from '../../functions/core/policy/compiled.ts'
import { awsTarget, OWN_ROLE } from '../support/aws-roles.ts'
import { EMPTY_POLICY, policyOf, readable, resources, synthesize } from './synthesize.ts'

const { service } = synthesize({ stage: 'test' })

const TABLE = (name: string) => `<import token-broker-test-state:ExportsOutputFnGetAtt${name}Arn>`
const EVERY_KEY = 'arn:<AWS::Partition>:kms:<AWS::Region>:<AWS::AccountId>:key/*'
const RESOURCE_TAGS = {
  'aws:ResourceTag/token-broker:purpose': 'token-signing',
  'aws:ResourceTag/token-broker:stage': 'test',
}
const REQUEST_TAGS = {
  'aws:RequestTag/token-broker:purpose': 'token-signing',
  'aws:RequestTag/token-broker:stage': 'test',
}
const NEW_KEY_TAGS = { ...REQUEST_TAGS, 'aws:RequestTag/token-broker:ring': ['RS256', 'ES256'] }
const ONLY_OUR_TAGS = {
  'aws:TagKeys': [
    'token-broker:purpose',
    'token-broker:stage',
    'token-broker:ring',
    'token-broker:reservation',
  ],
}

interface Allowed {
  readonly actions: readonly string[]
  readonly resource: string | readonly string[]
  readonly conditions?: Readonly<Record<string, unknown>>
}

const log = (name: string): Allowed => ({
  actions: ['logs:CreateLogStream', 'logs:PutLogEvents'],
  resource: `<${name}Logs.Arn>`,
})
/** `*`: X-Ray has no resources to name. */
const TRACES: Allowed = { actions: ['xray:PutTelemetryRecords', 'xray:PutTraceSegments'], resource: '*' }
/** Every key, because keys come and go with rotation: the tags say which. */
const SIGN: Allowed = {
  actions: ['kms:Sign'],
  resource: EVERY_KEY,
  conditions: {
    StringEquals: {
      ...RESOURCE_TAGS,
      'kms:MessageType': 'DIGEST',
      'kms:SigningAlgorithm': ['RSASSA_PKCS1_V1_5_SHA_256', 'ECDSA_SHA_256'],
    },
  },
}

const onKeys = (action: string, table: string, keys: string): Allowed => ({
  actions: [action],
  resource: TABLE(table),
  conditions: {
    'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': [keys] },
    Null: { 'dynamodb:LeadingKeys': 'false' },
  },
})
/** The table holds the records of exchanges too: those can be written, not read. */
const READ_REFERENCES = onKeys('dynamodb:GetItem', 'Exchanges', 'reference#*')
/** Of the exchanges only what no exchange is: an assertion's one use. */
const CLAIM_ASSERTIONS = onKeys('dynamodb:PutItem', 'Exchanges', 'assertion#*')

const PERMISSIONS: Readonly<Record<string, readonly Allowed[]>> = {
  Exchange: [
    log('Exchange'),
    TRACES,
    { actions: ['dynamodb:PutItem'], resource: TABLE('Exchanges') },
    READ_REFERENCES,
    onKeys('dynamodb:PutItem', 'Status', 'list#*'),
    onKeys('dynamodb:UpdateItem', 'Status', 'counter'),
    { actions: ['dynamodb:BatchGetItem'], resource: TABLE('Revocations') },
    { actions: ['dynamodb:GetItem'], resource: TABLE('SigningKeys') },
    SIGN,
  ],
  Introspect: [
    log('Introspect'),
    TRACES,
    CLAIM_ASSERTIONS,
    READ_REFERENCES,
    { actions: ['dynamodb:BatchGetItem'], resource: TABLE('Revocations') },
    { actions: ['dynamodb:GetItem'], resource: TABLE('SigningKeys') },
    SIGN,
  ],
  Revoke: [
    log('Revoke'),
    TRACES,
    CLAIM_ASSERTIONS,
    READ_REFERENCES,
    { actions: ['dynamodb:UpdateItem'], resource: TABLE('Revocations') },
    { actions: ['dynamodb:GetItem'], resource: TABLE('SigningKeys') },
  ],
  Jwks: [log('Jwks'), TRACES, { actions: ['dynamodb:GetItem'], resource: TABLE('SigningKeys') }],
  Status: [
    log('Status'),
    TRACES,
    onKeys('dynamodb:Query', 'Status', 'list#*'),
    { actions: ['dynamodb:BatchGetItem', 'dynamodb:Scan'], resource: TABLE('Revocations') },
    { actions: ['dynamodb:GetItem'], resource: TABLE('SigningKeys') },
    SIGN,
  ],
  RotateKeys: [
    log('RotateKeys'),
    // The CDK joins them. Listing keys has no resource to name either, and tells no more than their names.
    { ...TRACES, actions: ['kms:ListKeys', ...TRACES.actions] },
    { actions: ['dynamodb:GetItem', 'dynamodb:PutItem'], resource: TABLE('SigningKeys') },
    {
      actions: ['kms:CreateKey'],
      // `*`: the key does not exist yet.
      resource: '*',
      conditions: {
        StringEquals: {
          ...NEW_KEY_TAGS,
          'kms:KeySpec': ['RSA_2048', 'ECC_NIST_P256'],
          'kms:KeyUsage': 'SIGN_VERIFY',
        },
        'ForAllValues:StringEquals': ONLY_OUR_TAGS,
      },
    },
    {
      actions: ['kms:TagResource'],
      resource: EVERY_KEY,
      conditions: {
        StringEquals: NEW_KEY_TAGS,
        // Or one stage could re-tag, and so take over, the keys of another.
        StringEqualsIfExists: RESOURCE_TAGS,
        'ForAllValues:StringEquals': ONLY_OUR_TAGS,
      },
    },
    // Without a condition: whether a key is ours is what it is asked.
    { actions: ['kms:ListResourceTags'], resource: EVERY_KEY },
    {
      actions: ['kms:DisableKey', 'kms:GetPublicKey'],
      resource: EVERY_KEY,
      conditions: { StringEquals: RESOURCE_TAGS },
    },
    {
      actions: ['kms:ScheduleKeyDeletion'],
      resource: EVERY_KEY,
      conditions: {
        StringEquals: RESOURCE_TAGS,
        NumericGreaterThanEquals: { 'kms:ScheduleKeyDeletionPendingWindowInDays': 30 },
      },
    },
    SIGN,
  ],
}

/** The audit trail alone: no other role has any of this. */
const EXPORT_AUDIT: readonly Allowed[] = [
  log('ExportAudit'),
  TRACES,
  {
    actions: [
      'dynamodb:DescribeStream',
      'dynamodb:GetRecords',
      'dynamodb:GetShardIterator',
      'dynamodb:ListStreams',
    ],
    resource: '<import token-broker-test-state:ExportsOutputFnGetAttExchangesStreamArn>',
  },
  { actions: ['dynamodb:GetItem', 'dynamodb:UpdateItem'], resource: TABLE('AuditHeads') },
  { actions: ['sqs:SendMessage'], resource: '<AuditExportUndelivered.Arn>' },
  { actions: ['kms:GetPublicKey'], resource: TABLE('AuditCheckpointKey') },
  {
    actions: ['kms:Sign'],
    resource: TABLE('AuditCheckpointKey'),
    conditions: {
      StringEquals: { 'kms:MessageType': 'DIGEST', 'kms:SigningAlgorithm': 'ECDSA_SHA_256' },
    },
  },
  {
    actions: ['s3:GetObject', 's3:PutObject'],
    resource: [`${TABLE('AuditBucket')}/audit/*`, `${TABLE('AuditBucket')}/checkpoints/*`],
  },
]

/** Its own key alone: it can do nothing at the broker that a client could not. */
const PROBER: readonly Allowed[] = [
  log('Prober'),
  TRACES,
  { actions: ['kms:GetPublicKey'], resource: '<ProbeKey.Arn>' },
  {
    actions: ['kms:Sign'],
    resource: '<ProbeKey.Arn>',
    conditions: {
      StringEquals: { 'kms:MessageType': 'DIGEST', 'kms:SigningAlgorithm': 'ECDSA_SHA_256' },
    },
  },
]

const RELEASED = ['Exchange', 'Introspect', 'Revoke', 'Jwks', 'Status', 'Prober']
/** CodeDeploy's: to move the aliases of what answers requests, and to see alarms. */
const RELEASES: readonly Allowed[] = [
  { actions: ['cloudwatch:DescribeAlarms'], resource: '*' },
  {
    actions: ['lambda:GetAlias', 'lambda:GetProvisionedConcurrencyConfig', 'lambda:UpdateAlias'],
    resource: RELEASED.flatMap((name) => [`<${name}Function.Arn>`, `<${name}Function.Arn>:live`]).toSorted(),
  },
]

interface Statement {
  readonly Effect: string
  readonly Action: string | readonly string[]
  readonly Resource: string | readonly string[]
  readonly Condition?: Readonly<Record<string, unknown>>
}

const WRAPPING_KEY = '<SigningKeysWrappingKey.Arn>'
/** Nothing that the same key may have encrypted for somebody else. */
const CONTEXT = {
  'kms:EncryptionContext:token-broker:purpose': 'delegated-signing',
  'kms:EncryptionContext:token-broker:stage': 'test',
  'kms:EncryptionContext:token-broker:ring': 'delegated-ES256',
}
const UNWRAP: Allowed = {
  actions: ['kms:Decrypt'],
  resource: WRAPPING_KEY,
  conditions: { StringEquals: CONTEXT },
}
const WRAP: Allowed = {
  actions: ['kms:GenerateDataKeyPairWithoutPlaintext'],
  resource: WRAPPING_KEY,
  conditions: { StringEquals: { ...CONTEXT, 'kms:DataKeyPairSpec': 'ECC_NIST_P256' } },
}

const inAnyOrder = (expected: readonly Allowed[]) => expect.arrayContaining([...expected])

function allowedTo(name: string, template = service): readonly Allowed[] {
  const policies = Object.values(resources(template, 'AWS::IAM::Policy'))
    .map((policy) => readable(policy.Properties) as PolicyProperties)
    .filter((policy) => policy.Roles.includes(`<${name}Role>`))
  return policies.flatMap((policy) =>
    policy.PolicyDocument.Statement.map((statement) => {
      expect(statement.Effect).toBe('Allow')
      return {
        actions: [statement.Action].flat().sort(),
        resource: typeof statement.Resource === 'string' ? statement.Resource : statement.Resource.toSorted(),
        ...(statement.Condition && { conditions: statement.Condition }),
      }
    }),
  )
}

interface PolicyProperties {
  readonly Roles: readonly string[]
  readonly PolicyDocument: { readonly Statement: readonly Statement[] }
}

describe('the permissions', () => {
  it.each(Object.entries({ ...PERMISSIONS, ExportAudit: EXPORT_AUDIT, Prober: PROBER, Releases: RELEASES }))(
    'of %s are exactly those of this table',
    (name, expected) => {
      expect(allowedTo(name)).toEqual(inAnyOrder(expected))
      expect(allowedTo(name)).toHaveLength(expected.length)
    },
  )

  it('to take permits of a rate are there only where the policy has one', () => {
    const grant = { id: 'g', rate: { limit: 1, perSeconds: 60, by: 'grant' } } as unknown as Grant
    const rated = synthesize({ stage: 'test' }, { ...EMPTY_POLICY, grants: [grant] })
    const permits = { actions: ['dynamodb:UpdateItem'], resource: TABLE('Limits') }
    expect(allowedTo('Exchange', rated.service)).toContainEqual(permits)
    expect(allowedTo('Exchange')).not.toContainEqual(permits)
  })

  const exchange = PERMISSIONS['Exchange'] ?? []
  it('to make nonces are there, for one algorithm, only where a target asks for them', () => {
    const { targets } = policyOf('kms')
    const nonced = targets.map((target) => ({ ...target, binding: 'dpop', dpopNonce: true }) as Target)
    const { service: withNonces } = synthesize({ stage: 'test' }, { ...EMPTY_POLICY, targets: nonced })
    const makeNonces = {
      actions: ['kms:GenerateMac'],
      resource: '<DpopNoncesKey.Arn>',
      conditions: { StringEquals: { 'kms:MacAlgorithm': 'HMAC_SHA_256' } },
    }
    expect(allowedTo('Exchange', withNonces)).toEqual(inAnyOrder([...exchange, makeNonces]))
    expect(allowedTo('Exchange', withNonces)).toHaveLength(exchange.length + 1)
    for (const name of ['Introspect', 'Revoke', 'Jwks'])
      expect(allowedTo(name, withNonces)).toEqual(inAnyOrder(PERMISSIONS[name] ?? []))
  })

  it.each([
    ['some targets', policyOf('kms', 'delegated'), [...exchange, UNWRAP]],
    ['all targets', policyOf('delegated'), [...exchange.filter((allowed) => allowed !== SIGN), UNWRAP]],
  ])('of the exchange for delegated signing of %s let it sign in no other way', (_some, policy, expected) => {
    const { service: delegating } = synthesize({ stage: 'test' }, policy)
    expect(allowedTo('Exchange', delegating)).toEqual(inAnyOrder(expected))
    expect(allowedTo('Exchange', delegating)).toHaveLength(expected.length)
    const rotation = [...(PERMISSIONS['RotateKeys'] ?? []), UNWRAP, WRAP]
    expect(allowedTo('RotateKeys', delegating)).toEqual(inAnyOrder(rotation))
    expect(allowedTo('RotateKeys', delegating)).toHaveLength(rotation.length)
    expect(allowedTo('Jwks', delegating)).toEqual(inAnyOrder(PERMISSIONS['Jwks'] ?? []))
  })

  const deploy = awsTarget()
  const batch = awsTarget({
    ...{ id: 'batch', audience: OWN_ROLE, roleArn: OWN_ROLE, assume: 'role' },
    sourceIdentity: ['ci'],
  } as never)
  const plain = awsTarget({
    ...{ id: 'plain', audience: 'plain', roleArn: `${OWN_ROLE}-plain`, assume: 'role' },
    sessionTags: {},
    transitiveTags: [],
  } as never)
  const SIGN_WEB_IDENTITIES: Allowed = {
    ...SIGN,
    conditions: {
      StringEquals: {
        ...RESOURCE_TAGS,
        'kms:MessageType': 'DIGEST',
        'kms:SigningAlgorithm': 'RSASSA_PKCS1_V1_5_SHA_256',
      },
    },
  }
  const CREDENTIALS = [
    log('AwsCredentials'),
    TRACES,
    { actions: ['dynamodb:PutItem'], resource: TABLE('Exchanges') },
    READ_REFERENCES,
    { actions: ['dynamodb:BatchGetItem'], resource: TABLE('Revocations') },
    { actions: ['dynamodb:GetItem'], resource: TABLE('SigningKeys') },
  ]
  const HAND_OVER = { actions: ['lambda:InvokeFunction'], resource: '<AwsCredentialsFunction.Arn>:live' }
  const assume = (actions: readonly string[], resource: string | readonly string[]) => ({ actions, resource })

  it.each<[string, readonly AwsTarget[], readonly Allowed[]]>([
    ['that take a web identity assume nothing', [deploy], [SIGN_WEB_IDENTITIES]],
    [
      'that our own role assumes, name each of them, and sign nothing',
      [batch, plain],
      [
        assume(['sts:AssumeRole'], [OWN_ROLE, `${OWN_ROLE}-plain`]),
        assume(['sts:SetSourceIdentity', 'sts:TagSession'], OWN_ROLE),
      ],
    ],
    [
      'of both kinds do both',
      [deploy, batch],
      [SIGN_WEB_IDENTITIES, assume(['sts:AssumeRole', 'sts:SetSourceIdentity', 'sts:TagSession'], OWN_ROLE)],
    ],
  ])('for roles %s', (_roles, targets, expected) => {
    const policy = { ...EMPTY_POLICY, targets: [...policyOf('kms').targets, ...targets] }
    const { service: bridging } = synthesize({ stage: 'test' }, policy)
    const allowed = [...CREDENTIALS, ...expected]
    expect(allowedTo('AwsCredentials', bridging)).toEqual(inAnyOrder(allowed))
    expect(allowedTo('AwsCredentials', bridging)).toHaveLength(allowed.length)
    const ofExchange = [...exchange, HAND_OVER]
    expect(allowedTo('Exchange', bridging)).toEqual(inAnyOrder(ofExchange))
    expect(allowedTo('Exchange', bridging)).toHaveLength(ofExchange.length)
    const others = Object.keys({ ...PERMISSIONS, ExportAudit: 0 }).map((name) => allowedTo(name, bridging))
    expect(JSON.stringify(others)).not.toContain('sts:')
  })

  it('let nobody in the deployment assume a role where all of them take a web identity', () => {
    const policy = { ...EMPTY_POLICY, targets: [...policyOf('kms').targets, deploy] }
    const { state, service: bridging, monitoring } = synthesize({ stage: 'test' }, policy)
    const permissions = [state, bridging, monitoring].map((stack) =>
      // Whom a role of ours lets in, as Lambda, is no permission of anybody's here.
      JSON.stringify(stack.toJSON(), (key, value: unknown) =>
        key === 'AssumeRolePolicyDocument' ? undefined : value,
      ),
    )
    expect(permissions.join('')).toContain('kms:Sign')
    expect(permissions.join('')).not.toContain('sts:')
  })

  it('of the function for roles are nobody’s where there are no roles', () => {
    expect(allowedTo('AwsCredentials')).toEqual([])
    const allowed = Object.keys({ ...PERMISSIONS, ExportAudit: 0 }).flatMap((name) => allowedTo(name))
    const actions = allowed.flatMap((one) => one.actions)
    expect(actions.filter((action) => /^(?:sts|lambda):/.test(action))).toEqual([])
    expect(JSON.stringify(Object.values(resources(service, 'AWS::ApiGatewayV2::Route')))).not.toContain(
      '/aws/',
    )
  })

  it('of the function for roles let only API Gateway and the exchange function invoke it', () => {
    const { service: bridging } = synthesize({ stage: 'test' }, { ...EMPTY_POLICY, targets: [deploy] })
    const invokers = Object.values(resources(bridging, 'AWS::Lambda::Permission'))
      .map((permission) => readable(permission.Properties) as Record<string, string>)
      .filter(({ FunctionName }) => FunctionName?.startsWith('<AwsCredentials'))
    const allowed = invokers.map((it) => [
      it['FunctionName'],
      it['Principal'],
      it['SourceArn']?.split('/*/*')[1],
    ])
    expect(allowed).toEqual([
      ['<AwsCredentialsLive>', 'apigateway.amazonaws.com', '/aws/credentials/{target}'],
    ])
    const variables = Object.values(resources(bridging, 'AWS::Lambda::Function')).flatMap(({ Properties }) =>
      Object.keys((Properties['Environment'] as { readonly Variables: object }).Variables),
    )
    // K11: no setting that would move STS, or the other function, elsewhere.
    expect(variables.filter((name) => /ENDPOINT|PROXY|^AWS_(?!CREDENTIALS_FUNCTION)/i.test(name))).toEqual([])
  })

  it('are those of the eight functions and their releases: there is no other role and no other policy', () => {
    expect(Object.keys(resources(service, 'AWS::IAM::Role'))).toHaveLength(9)
    expect(Object.keys(resources(service, 'AWS::IAM::Policy'))).toHaveLength(9)
    expect(Object.keys(resources(service, 'AWS::IAM::ManagedPolicy'))).toHaveLength(0)
  })

  it('come from no managed policy, and only Lambda may take a role, but for that of releases', () => {
    for (const [id, role] of Object.entries(resources(service, 'AWS::IAM::Role'))) {
      const principal = id.startsWith('Releases') ? 'codedeploy.amazonaws.com' : 'lambda.amazonaws.com'
      expect(Object.keys(role.Properties)).toEqual(['AssumeRolePolicyDocument'])
      expect(role.Properties['AssumeRolePolicyDocument']).toMatchObject({
        Statement: [{ Action: 'sts:AssumeRole', Effect: 'Allow', Principal: { Service: principal } }],
      })
    }
  })

  it('let only API Gateway, on the function of the route, schedules and the logs of functions invoke a function', () => {
    const invokers = Object.values(resources(service, 'AWS::Lambda::Permission')).map((permission) => {
      const { FunctionName, Principal, SourceArn } = readable(permission.Properties) as Record<string, string>
      return [FunctionName, Principal, SourceArn?.replace(/^.*<ApiHttpApi>/, '')].join(' ')
    })
    expect(invokers.sort()).toEqual([
      '<ExchangeLive> apigateway.amazonaws.com /*/*/token',
      '<ExportAuditFunction.Arn> events.amazonaws.com <AuditExportCheckpoints.Arn>',
      '<ExportAuditFunction.Arn> logs.amazonaws.com <ExchangeLogs.Arn>',
      '<ExportAuditFunction.Arn> logs.amazonaws.com <IntrospectLogs.Arn>',
      '<ExportAuditFunction.Arn> logs.amazonaws.com <JwksLogs.Arn>',
      '<ExportAuditFunction.Arn> logs.amazonaws.com <RevokeLogs.Arn>',
      '<ExportAuditFunction.Arn> logs.amazonaws.com <RotateKeysLogs.Arn>',
      '<ExportAuditFunction.Arn> logs.amazonaws.com <StatusLogs.Arn>',
      '<IntrospectLive> apigateway.amazonaws.com /*/*/introspect',
      '<JwksLive> apigateway.amazonaws.com /*/*/.well-known/jwks.json',
      '<JwksLive> apigateway.amazonaws.com /*/*/.well-known/oauth-authorization-server',
      '<JwksLive> apigateway.amazonaws.com /*/*/.well-known/openid-configuration',
      '<JwksLive> apigateway.amazonaws.com /*/*/health',
      '<ProberLive> apigateway.amazonaws.com /*/*/probe/jwks.json',
      '<ProberLive> events.amazonaws.com <ProbeSchedule.Arn>',
      '<RevokeLive> apigateway.amazonaws.com /*/*/admin/revocations',
      '<RevokeLive> apigateway.amazonaws.com /*/*/revoke',
      '<RotateKeysFunction.Arn> events.amazonaws.com <SigningKeysSchedule.Arn>',
      '<StatusLive> apigateway.amazonaws.com /*/*/status/{list}',
    ])
  })
})
