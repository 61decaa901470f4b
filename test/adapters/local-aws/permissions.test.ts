import {
  BatchGetItemCommand,
  BatchWriteItemCommand,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  ScanCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb'
import {
  CreateAliasCommand,
  CreateKeyCommand,
  type CreateKeyCommandInput,
  DescribeKeyCommand,
  ListKeysCommand,
  ScheduleKeyDeletionCommand,
  SignCommand,
  TagResourceCommand,
  UntagResourceCommand,
} from '@aws-sdk/client-kms'
import { AssumeRoleCommand, GetCallerIdentityCommand } from '@aws-sdk/client-sts'
import { describe, expect, test } from 'vitest'
import type { PolicyStatement } from '../../../lib/local/aws/iam.ts'
import { ACCOUNT, clientsOf, clientsWith, failureOf, REGION, type Rig, startRig, table } from './support.ts'

const THINGS = `arn:aws:dynamodb:${REGION}:${ACCOUNT}:table/things`
const KEYS = `arn:aws:kms:${REGION}:${ACCOUNT}:key/*`
const ROLE = 'arn:aws:iam::222222222222:role/deploy'
const allow = (Action: string | string[], Resource: string | string[], Condition = {}): PolicyStatement => ({
  Effect: 'Allow',
  Action,
  Resource,
  Condition,
})
const Key = { pk: { S: 'a' } }

async function rigWithTables() {
  const rig = await startRig()
  await rig.endpoint.dynamodb.createTable(table('things'))
  await rig.endpoint.dynamodb.createTable(table('others'))
  return rig
}

async function signingKey(rig: Rig, more: Partial<CreateKeyCommandInput> = {}): Promise<string> {
  const input = { KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY', ...more } as const
  const { KeyMetadata } = await rig.kms.send(new CreateKeyCommand(input))
  return KeyMetadata?.KeyId ?? ''
}

const sign = (KeyId: string, MessageType: 'RAW' | 'DIGEST' = 'DIGEST') =>
  new SignCommand({ KeyId, Message: Buffer.alloc(32), MessageType, SigningAlgorithm: 'ECDSA_SHA_256' })

describe('who calls', () => {
  test('an unknown access key is refused in each service’s words, and a defect', async () => {
    const rig = await startRig()
    const { dynamodb, kms, sts } = clientsOf(rig.endpoint, 'AKIAUNKNOWN')
    const get = new GetItemCommand({ TableName: 'things', Key })
    expect(await failureOf(dynamodb.send(get))).toHaveProperty('name', 'UnrecognizedClientException')
    const list = kms.send(new ListKeysCommand())
    expect(await failureOf(list)).toHaveProperty('name', 'UnrecognizedClientException')
    const identity = sts.send(new GetCallerIdentityCommand())
    expect(await failureOf(identity)).toMatchObject({
      name: 'InvalidClientTokenId',
      $metadata: { httpStatusCode: 403 },
    })
    expect(rig.defects).toHaveLength(3)
    expect(rig.defects[0]).toEqual({
      kind: 'credential',
      accessKeyId: 'AKIAUNKNOWN',
      operation: 'dynamodb:GetItem',
    })
  })

  test('a principal without policies at all is the operator and may do everything', async () => {
    const rig = await rigWithTables()
    await rig.dynamodb.send(new PutItemCommand({ TableName: 'things', Item: Key }))
    expect(rig.endpoint.unusedPermissions()).toEqual([])
    expect(rig.defects).toEqual([])
  })

  test('a policy that is not understood is refused when it is registered', async () => {
    const rig = await startRig()
    const odd = { ...allow('*', '*'), Condition: { IpAddress: { 'aws:SourceIp': '10.0.0.0/8' } } }
    expect(() => clientsWith(rig, 'odd', odd)).toThrow('unknown condition operator "IpAddress"')
  })

  test('a policy that is not understood allows nothing, and is a defect', async () => {
    const Statement = { ...allow('*', '*'), Condition: { IpAddress: { 'aws:SourceIp': '10.0.0.0/8' } } }
    const principals = new Map([['AKIAODD', { name: 'odd', policies: [{ Statement }] }]])
    const rig = await startRig({ principals })
    const { kms } = clientsOf(rig.endpoint, 'AKIAODD')
    const failure = await failureOf(kms.send(new ListKeysCommand()))
    expect(failure).toHaveProperty('name', 'AccessDeniedException')
    expect(rig.defects).toMatchObject([{ kind: 'policy', principal: 'odd' }])
  })
})

describe('a call that the policies do not allow', () => {
  test('is refused in AWS’s words, reported, and not carried out', async () => {
    const rig = await rigWithTables()
    const { dynamodb } = clientsWith(rig, 'exchange', allow('dynamodb:GetItem', THINGS))
    const put = dynamodb.send(new PutItemCommand({ TableName: 'things', Item: Key }))
    expect(await failureOf(put)).toMatchObject({
      name: 'AccessDeniedException',
      message:
        `User: arn:aws:sts::${ACCOUNT}:assumed-role/exchange-role/exchange is not authorized to perform: ` +
        `dynamodb:PutItem on resource: ${THINGS} because no identity-based policy allows the dynamodb:PutItem action`,
      $metadata: { httpStatusCode: 400, requestId: expect.stringMatching(/^[0-9a-f-]{36}$/) },
    })
    expect(rig.defects).toEqual([
      { kind: 'permission', principal: 'exchange', action: 'dynamodb:PutItem', resource: THINGS },
    ])
    const { Item } = await dynamodb.send(new GetItemCommand({ TableName: 'things', Key }))
    expect(Item).toBeUndefined()
  })

  test('says so if a statement denies it', async () => {
    const rig = await rigWithTables()
    const deny = { Effect: 'Deny', Action: 'dynamodb:*', Resource: '*' }
    const { dynamodb } = clientsWith(rig, 'exchange', allow('dynamodb:*', '*'), deny)
    const get = dynamodb.send(new GetItemCommand({ TableName: 'things', Key }))
    expect((await failureOf(get)).message).toContain('with an explicit deny in an identity-based policy')
  })

  test('is AccessDenied with status 403 in STS', async () => {
    const rig = await startRig()
    const { sts } = clientsWith(rig, 'bridge', allow('sts:AssumeRole', `${ROLE}2`))
    const assume = sts.send(new AssumeRoleCommand({ RoleArn: ROLE, RoleSessionName: 'session' }))
    expect(await failureOf(assume)).toMatchObject({
      name: 'AccessDenied',
      $metadata: { httpStatusCode: 403 },
    })
  })

  test('is refused before it is known whether the key or the table exists', async () => {
    const rig = await startRig()
    const { kms, dynamodb } = clientsWith(rig, 'nobody', allow('s3:GetObject', '*'))
    const KeyId = '00000000-0000-4000-8000-000000000000'
    const describeKey = kms.send(new DescribeKeyCommand({ KeyId }))
    expect(await failureOf(describeKey)).toHaveProperty('name', 'AccessDeniedException')
    const get = dynamodb.send(new GetItemCommand({ TableName: 'absent', Key }))
    expect(await failureOf(get)).toHaveProperty('name', 'AccessDeniedException')
  })
})

describe('DynamoDB permissions', () => {
  test('a batch needs its action on every table', async () => {
    const rig = await rigWithTables()
    const { dynamodb } = clientsWith(
      rig,
      'exchange',
      allow(['dynamodb:BatchGetItem', 'dynamodb:BatchWriteItem'], THINGS),
    )
    const get = (tables: string[]) =>
      dynamodb.send(
        new BatchGetItemCommand({
          RequestItems: Object.fromEntries(tables.map((name) => [name, { Keys: [Key] }])),
        }),
      )
    await get(['things'])
    expect((await failureOf(get(['things', 'others']))).message).toContain('table/others')
    const RequestItems = { others: [{ PutRequest: { Item: Key } }] }
    const write = dynamodb.send(new BatchWriteItemCommand({ RequestItems }))
    expect((await failureOf(write)).message).toContain('dynamodb:BatchWriteItem')
  })

  test('dynamodb:LeadingKeys is the partition key of every kind of call', async () => {
    const rig = await rigWithTables()
    const mine = { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': 'mine#*' } }
    const { dynamodb } = clientsWith(rig, 'exchange', allow('dynamodb:*', THINGS, mine))
    const calls = (pk: string) => {
      const own = { pk: { S: pk } }
      return [
        dynamodb.send(new PutItemCommand({ TableName: 'things', Item: own })),
        dynamodb.send(new GetItemCommand({ TableName: 'things', Key: own })),
        dynamodb.send(new BatchGetItemCommand({ RequestItems: { things: { Keys: [own] } } })),
        dynamodb.send(
          new BatchWriteItemCommand({ RequestItems: { things: [{ PutRequest: { Item: own } }] } }),
        ),
        dynamodb.send(
          new QueryCommand({
            TableName: 'things',
            KeyConditionExpression: '#pk = :pk',
            ExpressionAttributeNames: { '#pk': 'pk' },
            ExpressionAttributeValues: { ':pk': { S: pk } },
          }),
        ),
      ]
    }
    await Promise.all(calls('mine#1'))
    for (const call of calls('other#1'))
      expect(await failureOf(call)).toHaveProperty('name', 'AccessDeniedException')
  })

  test('dynamodb:Attributes is what a call names, in items, keys and expressions', async () => {
    const rig = await rigWithTables()
    const names = { 'ForAllValues:StringEquals': { 'dynamodb:Attributes': ['pk', 'reason', 'author'] } }
    const { dynamodb } = clientsWith(rig, 'revoke', allow('dynamodb:*', THINGS, names))
    const update = (attribute: string) =>
      dynamodb.send(
        new UpdateItemCommand({
          TableName: 'things',
          Key,
          UpdateExpression: `SET #a = if_not_exists(#a, :v)`,
          ConditionExpression: 'attribute_not_exists(author.part) OR reason <> :v',
          ExpressionAttributeNames: { '#a': attribute },
          ExpressionAttributeValues: { ':v': { S: 'x' } },
        }),
      )
    await update('reason')
    expect(await failureOf(update('cut_off'))).toHaveProperty('name', 'AccessDeniedException')
    const put = dynamodb.send(
      new PutItemCommand({ TableName: 'things', Item: { ...Key, cut_off: { N: '0' } } }),
    )
    expect(await failureOf(put)).toHaveProperty('name', 'AccessDeniedException')
  })
})

describe('KMS permissions', () => {
  test('a signature can be limited to an algorithm, a digest, a kind of key and its tags', async () => {
    const rig = await startRig()
    const conditions = {
      StringEquals: {
        'kms:SigningAlgorithm': 'ECDSA_SHA_256',
        'kms:MessageType': 'DIGEST',
        'kms:KeySpec': 'ECC_NIST_P256',
        'kms:KeyUsage': 'SIGN_VERIFY',
        'aws:ResourceTag/purpose': 'token-signing',
        'aws:PrincipalArn': `arn:aws:iam::${ACCOUNT}:role/path/exchange-role`,
      },
    }
    const { kms } = clientsWith(rig, 'exchange', allow('kms:Sign', KEYS, conditions))
    const ours = await signingKey(rig, { Tags: [{ TagKey: 'purpose', TagValue: 'token-signing' }] })
    await kms.send(sign(ours))
    expect(await failureOf(kms.send(sign(ours, 'RAW')))).toHaveProperty('name', 'AccessDeniedException')
    const untagged = await signingKey(rig)
    expect(await failureOf(kms.send(sign(untagged)))).toHaveProperty('name', 'AccessDeniedException')
  })

  test('a key named by its alias is checked as the key', async () => {
    const rig = await startRig()
    const TargetKeyId = await signingKey(rig)
    await rig.kms.send(new CreateAliasCommand({ AliasName: 'alias/signing', TargetKeyId }))
    const { kms } = clientsWith(rig, 'exchange', allow('kms:Sign', KEYS.replace('*', TargetKeyId)))
    await kms.send(sign('alias/signing'))
    const { kms: stranger } = clientsWith(rig, 'stranger', allow('kms:Sign', `${KEYS}1`))
    expect((await failureOf(stranger.send(sign('alias/signing')))).message).toContain(`key/${TargetKeyId}`)
  })

  test('making a key needs kms:CreateKey on *, and kms:TagResource for its tags', async () => {
    const rig = await startRig()
    const create = (KeySpec: 'ECC_NIST_P256' | 'RSA_2048', ...tags: string[]) =>
      new CreateKeyCommand({
        KeySpec,
        KeyUsage: 'SIGN_VERIFY',
        Tags: tags.map((TagKey) => ({ TagKey, TagValue: 'broker' })),
      })
    const ecc = { StringEquals: { 'kms:KeySpec': 'ECC_NIST_P256', 'kms:KeyUsage': 'SIGN_VERIFY' } }
    const onKey = clientsWith(rig, 'onKey', allow('kms:CreateKey', KEYS))
    expect(await failureOf(onKey.kms.send(create('ECC_NIST_P256')))).toHaveProperty(
      'name',
      'AccessDeniedException',
    )
    const untagging = clientsWith(rig, 'untagging', allow('kms:CreateKey', '*', ecc))
    await untagging.kms.send(create('ECC_NIST_P256'))
    expect((await failureOf(untagging.kms.send(create('ECC_NIST_P256', 'owner')))).message).toContain(
      'kms:TagResource',
    )
    expect(await failureOf(untagging.kms.send(create('RSA_2048')))).toHaveProperty(
      'name',
      'AccessDeniedException',
    )
    const ours = {
      StringEquals: { 'aws:RequestTag/owner': 'broker' },
      'ForAllValues:StringEquals': { 'aws:TagKeys': 'owner' },
    }
    const tagging = clientsWith(
      rig,
      'tagging',
      allow('kms:CreateKey', '*', ours),
      allow('kms:TagResource', KEYS, ours),
    )
    await tagging.kms.send(create('ECC_NIST_P256', 'owner'))
    expect(await failureOf(tagging.kms.send(create('ECC_NIST_P256', 'owner', 'more')))).toHaveProperty(
      'name',
      'AccessDeniedException',
    )
  })

  test('tags that are added or taken away are in aws:TagKeys', async () => {
    const rig = await startRig()
    const KeyId = await signingKey(rig)
    const state = { 'ForAllValues:StringEquals': { 'aws:TagKeys': 'state' } }
    const { kms } = clientsWith(rig, 'rotate', allow(['kms:TagResource', 'kms:UntagResource'], KEYS, state))
    const tag = (TagKey: string) =>
      kms.send(new TagResourceCommand({ KeyId, Tags: [{ TagKey, TagValue: 'x' }] }))
    await tag('state')
    expect(await failureOf(tag('purpose'))).toHaveProperty('name', 'AccessDeniedException')
    const untag = kms.send(new UntagResourceCommand({ KeyId, TagKeys: ['purpose'] }))
    expect(await failureOf(untag)).toHaveProperty('name', 'AccessDeniedException')
  })

  test('a deletion can be limited to a long wait', async () => {
    const rig = await startRig()
    const KeyId = await signingKey(rig)
    const long = { NumericGreaterThanEquals: { 'kms:ScheduleKeyDeletionPendingWindowInDays': '30' } }
    const { kms } = clientsWith(rig, 'rotate', allow('kms:ScheduleKeyDeletion', KEYS, long))
    const short = kms.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }))
    expect(await failureOf(short)).toHaveProperty('name', 'AccessDeniedException')
    await kms.send(new ScheduleKeyDeletionCommand({ KeyId }))
  })
})

describe('STS permissions', () => {
  const assume = (more = {}) => new AssumeRoleCommand({ RoleArn: ROLE, RoleSessionName: 'ci', ...more })

  test('tags and a source identity need permissions of their own', async () => {
    const rig = await startRig()
    const { sts } = clientsWith(rig, 'bridge', allow('sts:AssumeRole', ROLE))
    await sts.send(assume())
    const tagged = sts.send(assume({ Tags: [{ Key: 'repository', Value: 'a' }] }))
    expect((await failureOf(tagged)).message).toContain('sts:TagSession')
    const named = sts.send(assume({ SourceIdentity: 'octocat' }))
    expect((await failureOf(named)).message).toContain('sts:SetSourceIdentity')
  })

  test('session name, source identity and tags can be limited', async () => {
    const rig = await startRig()
    const limits = {
      StringLike: { 'sts:RoleSessionName': 'ci*', 'sts:SourceIdentity': 'octo*' },
      StringEquals: { 'aws:RequestTag/repository': 'a' },
    }
    const actions = ['sts:AssumeRole', 'sts:TagSession', 'sts:SetSourceIdentity']
    const { sts } = clientsWith(rig, 'bridge', allow(actions, ROLE, limits))
    const good = { SourceIdentity: 'octocat', Tags: [{ Key: 'repository', Value: 'a' }] }
    await sts.send(assume(good))
    for (const bad of [
      { ...good, RoleSessionName: 'other' },
      { ...good, SourceIdentity: 'other' },
      { ...good, Tags: [{ Key: 'repository', Value: 'b' }] },
    ]) {
      expect(await failureOf(sts.send(assume(bad)))).toHaveProperty('name', 'AccessDenied')
    }
  })
})

describe('unused permissions', () => {
  test('are the pairs of action and resource that no allowed call needed', async () => {
    const rig = await rigWithTables()
    const others = THINGS.replace('things', 'others')
    const statement = allow(['dynamodb:GetItem', 'dynamodb:Scan'], [THINGS, others])
    const { dynamodb } = clientsWith(rig, 'exchange', statement, {
      Effect: 'Deny',
      Action: 'kms:*',
      Resource: '*',
    })
    await dynamodb.send(new GetItemCommand({ TableName: 'things', Key }))
    await dynamodb.send(new ScanCommand({ TableName: 'others' }))
    await failureOf(dynamodb.send(new PutItemCommand({ TableName: 'things', Item: Key })))
    expect(rig.endpoint.unusedPermissions()).toEqual([
      { principal: 'exchange', action: 'dynamodb:GetItem', resource: others },
      { principal: 'exchange', action: 'dynamodb:Scan', resource: THINGS },
    ])
    expect(rig.endpoint.permissions()).toHaveLength(4)
    expect(rig.endpoint.permissions()).toContainEqual({
      principal: 'exchange',
      action: 'dynamodb:GetItem',
      resource: THINGS,
      used: true,
    })
  })

  test('what the cloud does in a principal’s name counts, and is checked', async () => {
    const rig = await startRig()
    const stream = `${THINGS}/stream/*`
    const principal = { name: 'export', policies: [{ Statement: allow('dynamodb:GetRecords', stream) }] }
    rig.endpoint.registerPrincipal('AKIAEXPORT', principal)
    const resource = `${THINGS}/stream/2026-11-22T00:00:00.000`
    const ask = (action: string) => rig.endpoint.authorise(principal, { action, resource, context: {} })
    expect(rig.endpoint.unusedPermissions()).toHaveLength(1)
    expect(ask('dynamodb:GetRecords')).toBe(true)
    expect(ask('dynamodb:DescribeStream')).toBe(false)
    expect(rig.endpoint.unusedPermissions()).toEqual([])
    expect(rig.defects).toMatchObject([{ kind: 'permission', action: 'dynamodb:DescribeStream' }])
  })
})

test('each call is told to the tracer after it ended, refused ones too', async () => {
  const rig = await rigWithTables()
  const { dynamodb } = clientsWith(rig, 'exchange', allow('dynamodb:GetItem', THINGS))
  await dynamodb.send(new GetItemCommand({ TableName: 'things', Key }))
  await failureOf(dynamodb.send(new PutItemCommand({ TableName: 'things', Item: Key })))
  const common = { principal: 'exchange', service: 'dynamodb', resource: THINGS }
  expect(rig.calls).toMatchObject([
    { ...common, operation: 'GetItem', outcome: 'ok' },
    { ...common, operation: 'PutItem', outcome: 'AccessDeniedException' },
  ])
  for (const { startedAt, endedAt } of rig.calls) expect(endedAt).toBeGreaterThanOrEqual(startedAt)
})
