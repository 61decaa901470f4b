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
const STATEFUL = ['Exchanges4CADE47B', 'RevocationsAE845E47', 'SigningKeysA56F0358']

describe('the state stack', () => {
  it('holds the stateful resources under the ids that they were deployed with, and no others', () => {
    expect(Object.keys(state.toJSON()['Resources']).sort()).toEqual(STATEFUL)
  })

  it.each(STATEFUL)('retains %s, protects it from deletion and can restore it to any second', (id) => {
    expect(tables[id]).toMatchObject({
      DeletionPolicy: 'Retain',
      UpdateReplacePolicy: 'Retain',
      Properties: {
        BillingMode: 'PAY_PER_REQUEST',
        KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
        AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
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

  it.each(['Exchanges4CADE47B', 'RevocationsAE845E47'])('lets items of %s expire', (id) => {
    expect(tables[id]?.Properties['TimeToLiveSpecification']).toEqual({
      AttributeName: 'expires_at',
      Enabled: true,
    })
  })

  it('never lets a signing key expire', () => {
    expect(tables['SigningKeysA56F0358']?.Properties).not.toHaveProperty('TimeToLiveSpecification')
  })

  it('streams what happens to exchanges', () => {
    expect(tables['Exchanges4CADE47B']?.Properties['StreamSpecification']).toEqual({
      StreamViewType: 'NEW_AND_OLD_IMAGES',
    })
  })

  it('names no table, so that a replacement can stand beside the old one', () => {
    for (const table of Object.values(tables)) expect(table.Properties).not.toHaveProperty('TableName')
  })

  it('exports names and ARNs, which keeps CloudFormation from removing a table in use', () => {
    const exported = outputs.filter(([name]) => name.startsWith('ExportsOutput'))
    expect(exported).toHaveLength(6)
    for (const [, output] of exported) expect(output.Export?.Name).toMatch(/^token-broker-dev-state:/)
  })

  it('tells the names of the tables in outputs, with a description: the command line finds them there', () => {
    const told = outputs.filter(([, output]) => output.Export === undefined)
    expect(Object.fromEntries(told.map(([name, { Value }]) => [name, readable(Value)]))).toEqual({
      ExchangesTable: '<Exchanges>',
      RevocationsTable: '<Revocations>',
      SigningKeysTable: '<SigningKeys>',
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
  })
})
