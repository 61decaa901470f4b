import { describe, expect, it } from 'vitest'
import { readable, resources, synthesize } from './synthesize.ts'

const { state, assembly, stacks } = synthesize()
const outputs = Object.entries(
  state.toJSON()['Outputs'] as Record<
    string,
    { readonly Value: unknown; readonly Description?: string; readonly Export?: { readonly Name: string } }
  >,
)
const tables = resources(state, 'AWS::DynamoDB::GlobalTable')

/** Renaming one of these makes CloudFormation replace a table: it needs a decision note and a migration. */
const TABLES = [
  'AuditHeads27EF8852',
  'Exchanges4CADE47B',
  'LimitsA6AFC87B',
  'RevocationsAE845E47',
  'SigningKeysA56F0358',
  'Status274336EC',
]
/** The one table with more than one item under a key: the tokens of a status list. */
const SORTED = 'Status274336EC'
const BUCKET = 'AuditBucket7486E833'
const KEY = 'AuditCheckpointKey998BA086'
const STATEFUL = [...TABLES, BUCKET, KEY, 'AuditBucketPolicyE6CAAC5C'].sort()

describe('the state stack', () => {
  it('holds the stateful resources under the ids that they were deployed with, and no others', () => {
    expect(Object.keys(state.toJSON()['Resources']).sort()).toEqual(STATEFUL)
  })

  it.each(TABLES)('retains %s, protects it from deletion and can restore it to any second', (id) => {
    expect(tables[id]).toMatchObject({
      DeletionPolicy: 'Retain',
      UpdateReplacePolicy: 'Retain',
      Properties: {
        BillingMode: 'PAY_PER_REQUEST',
        KeySchema: [
          { AttributeName: 'pk', KeyType: 'HASH' },
          ...(id === SORTED ? [{ AttributeName: 'idx', KeyType: 'RANGE' }] : []),
        ],
        AttributeDefinitions: [
          { AttributeName: 'pk', AttributeType: 'S' },
          ...(id === SORTED ? [{ AttributeName: 'idx', AttributeType: 'N' }] : []),
        ],
        SSESpecification: { SSEEnabled: true, SSEType: 'KMS' },
        Replicas: [
          {
            DeletionProtectionEnabled: true,
            PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
          },
        ],
      },
    })
  })

  it.each(['Exchanges4CADE47B', 'LimitsA6AFC87B', 'RevocationsAE845E47', SORTED])(
    'lets items of %s expire',
    (id) => {
      expect(tables[id]?.Properties['TimeToLiveSpecification']).toEqual({
        AttributeName: 'expires_at',
        Enabled: true,
      })
    },
  )

  it('never lets a signing key expire', () => {
    expect(tables['SigningKeysA56F0358']?.Properties).not.toHaveProperty('TimeToLiveSpecification')
  })

  it('streams what happens to exchanges', () => {
    expect(tables['Exchanges4CADE47B']?.Properties['StreamSpecification']).toEqual({
      StreamViewType: 'NEW_AND_OLD_IMAGES',
    })
  })

  it('locks what the audit trail holds for 400 days, against everybody, and keeps every version', () => {
    const bucket = resources(state, 'AWS::S3::Bucket')[BUCKET]
    expect(bucket).toMatchObject({
      DeletionPolicy: 'Retain',
      Properties: {
        ObjectLockEnabled: true,
        ObjectLockConfiguration: { Rule: { DefaultRetention: { Mode: 'COMPLIANCE', Days: 400 } } },
        VersioningConfiguration: { Status: 'Enabled' },
        PublicAccessBlockConfiguration: {
          BlockPublicAcls: true,
          BlockPublicPolicy: true,
          IgnorePublicAcls: true,
          RestrictPublicBuckets: true,
        },
      },
    })
    expect(bucket?.Properties).not.toHaveProperty('LifecycleConfiguration')
  })

  it('lets nobody write over an object, delete one, or speak to the bucket without TLS', () => {
    expect(deniedBy(state)).toEqual([
      's3:*: Bool aws:SecureTransport false',
      's3:*: NumericLessThan s3:TlsVersion 1.2',
      's3:DeleteObject s3:DeleteObjectVersion',
      's3:PutObject: Null s3:if-none-match true',
    ])
  })

  it('signs checkpoints with a retained key that no signer of tokens may use', () => {
    expect(resources(state, 'AWS::KMS::Key')[KEY]).toMatchObject({
      DeletionPolicy: 'Retain',
      Properties: {
        KeySpec: 'ECC_NIST_P256',
        KeyUsage: 'SIGN_VERIFY',
        Tags: expect.arrayContaining([{ Key: 'token-broker:purpose', Value: 'audit-checkpoints' }]),
      },
    })
  })

  it('names no table, so that a replacement can stand beside the old one', () => {
    for (const table of Object.values(tables)) expect(table.Properties).not.toHaveProperty('TableName')
  })

  it('exports names and ARNs, which keeps CloudFormation from removing a table in use', () => {
    const exported = outputs.filter(([name]) => name.startsWith('ExportsOutput'))
    expect(exported.length).toBeGreaterThan(6)
    for (const [, output] of exported) expect(output.Export?.Name).toMatch(/^token-broker-dev-state:/)
  })

  it('tells the names of the tables in outputs, with a description: the command line finds them there', () => {
    const told = outputs.filter(([, output]) => output.Export === undefined)
    expect(Object.fromEntries(told.map(([name, { Value }]) => [name, readable(Value)]))).toEqual({
      ExchangesTable: '<Exchanges>',
      RevocationsTable: '<Revocations>',
      SigningKeysTable: '<SigningKeys>',
      AuditBucket: '<AuditBucket>',
      AuditTable: '<AuditHeads>',
      AuditKey: '<AuditCheckpointKey.Arn>',
    })
    for (const [, output] of told) expect(output.Description).toBeTruthy()
  })

  it('refuses its deletion and carries the deployment tags', () => {
    const artifact = assembly.getStackArtifact(stacks.state.artifactId)
    expect(artifact.terminationProtection).toBe(true)
    expect(artifact.tags).toEqual({ application: 'token-broker', stage: 'dev' })
  })

  it('can be thrown away, tables and all, where removal protection is off', () => {
    const throwAway = synthesize({ stage: 'pr-7', removalProtection: false })
    expect(throwAway.stacks.state.terminationProtection).toBe(false)
    for (const table of Object.values(resources(throwAway.state, 'AWS::DynamoDB::GlobalTable'))) {
      expect(table.DeletionPolicy).toBe('Delete')
      expect(table.Properties['Replicas']).toMatchObject([{ DeletionProtectionEnabled: false }])
    }
    expect(resources(throwAway.state, 'AWS::S3::Bucket')[BUCKET]).toMatchObject({
      DeletionPolicy: 'Delete',
      Properties: {
        ObjectLockConfiguration: { Rule: { DefaultRetention: { Mode: 'GOVERNANCE', Days: 1 } } },
      },
    })
    expect(deniedBy(throwAway.state).join()).not.toContain('Delete')
  })
})

interface Statement {
  readonly Effect: string
  readonly Principal: unknown
  readonly Action: string | readonly string[]
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

/** What the bucket policy denies to everybody, a line for each statement. */
function deniedBy(template: typeof state): readonly string[] {
  const [policy] = Object.values(resources(template, 'AWS::S3::BucketPolicy'))
  const document = policy?.Properties['PolicyDocument'] as
    | { readonly Statement: readonly Statement[] }
    | undefined
  return (document?.Statement ?? [])
    .map(({ Effect, Principal, Action, Condition = {} }) => {
      expect(Effect).toBe('Deny')
      expect(Principal).toEqual({ AWS: '*' })
      const conditions = Object.entries(Condition).flatMap(([operator, keys]) =>
        Object.entries(keys).map(([key, value]) => `${operator} ${key} ${String(value)}`),
      )
      const actions = [Action].flat().join(' ')
      return conditions.length === 0 ? actions : `${actions}: ${conditions.join(', ')}`
    })
    .sort()
}
