import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  DeleteObjectCommand,
  GetObjectCommand,
  GetObjectLockConfigurationCommand,
  GetObjectRetentionCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  PutObjectRetentionCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { AwsEndpointOptions } from '../../../lib/local/aws/endpoint.ts'
import type { BucketDefinition } from '../../../lib/local/aws/s3.ts'
import { clientsOf, clientsWith, failureOf, OPERATOR_KEY, REGION, startRig } from './support.ts'

const Bucket = 'trail'
const DAY = 86_400_000
const NOW = Date.UTC(2030, 0, 1)

async function rigWithBucket(
  definition: Partial<BucketDefinition> = {},
  options: Partial<AwsEndpointOptions> = {},
) {
  const rig = await startRig({ clock: () => NOW, ...options })
  await rig.endpoint.s3.createBucket({ name: Bucket, objectLock: undefined, denied: [], ...definition })
  return rig
}

const put = (s3: S3Client, Key: string, Body: string, more: Partial<PutObjectCommandInput> = {}) =>
  s3.send(new PutObjectCommand({ Bucket, Key, Body: Buffer.from(Body), ...more }))

async function text(s3: S3Client, Key: string, VersionId?: string): Promise<string> {
  const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key, VersionId }))
  return (await Body?.transformToString()) ?? ''
}

describe('objects', () => {
  test('are read as they were written, with their checksum', async () => {
    const { s3, defects } = await rigWithBucket()
    await put(s3, 'a/b c.json', 'first', { ChecksumAlgorithm: 'SHA256' })
    expect(await text(s3, 'a/b c.json')).toBe('first')
    const head = await s3.send(new HeadObjectCommand({ Bucket, Key: 'a/b c.json', ChecksumMode: 'ENABLED' }))
    expect(head).toMatchObject({ ContentLength: 5, ServerSideEncryption: 'AES256' })
    expect(head.ChecksumSHA256).toBe(createHash('sha256').update('first').digest('base64'))
    expect(defects).toEqual([])
  })

  test('whose checksum does not hold are refused', async () => {
    const { s3 } = await rigWithBucket()
    const wrong = put(s3, 'a', 'body', { ChecksumSHA256: 'AAAA' })
    expect(await failureOf(wrong)).toHaveProperty('name', 'BadDigest')
  })

  test('that are missing are NoSuchKey to whoever may list, and AccessDenied to everybody else', async () => {
    const rig = await rigWithBucket()
    expect(await failureOf(text(rig.s3, 'none'))).toHaveProperty('name', 'NoSuchKey')
    const head = await failureOf(rig.s3.send(new HeadObjectCommand({ Bucket, Key: 'none' })))
    expect(head).toHaveProperty('$metadata.httpStatusCode', 404)
    const reader = { Effect: 'Allow', Action: 's3:GetObject', Resource: `arn:aws:s3:::${Bucket}/*` }
    const { s3 } = clientsWith(rig, 'reader', reader)
    expect(await failureOf(text(s3, 'none'))).toHaveProperty('name', 'AccessDenied')
    expect(await failureOf(put(s3, 'a', 'x'))).toHaveProperty('name', 'AccessDenied')
    expect(rig.defects).toMatchObject([{ kind: 'permission', action: 's3:PutObject' }])
  })

  test('of another bucket and operations that are not offered are refused', async () => {
    const { s3, endpoint } = await rigWithBucket()
    const elsewhere = s3.send(new GetObjectCommand({ Bucket: 'other', Key: 'a' }))
    expect(await failureOf(elsewhere)).toHaveProperty('name', 'NoSuchBucket')
    const authorization = `Credential=${OPERATOR_KEY}/20300101/${REGION}/s3/aws4_request`
    const answer = await fetch(`${endpoint.url}/${Bucket}/a?acl`, { headers: { authorization } })
    expect(answer.status).toBe(501)
  })

  test('are kept in the data folder', async () => {
    const dataFolder = mkdtempSync(join(tmpdir(), 's3-'))
    onTestFinished(() => rmSync(dataFolder, { recursive: true, force: true }))
    const first = await rigWithBucket({}, { dataFolder })
    await put(first.s3, 'kept', 'one')
    await put(first.s3, 'kept', 'two')
    await first.endpoint.close()
    const second = await rigWithBucket({}, { dataFolder })
    expect(await text(second.s3, 'kept')).toBe('two')
    const { Versions } = await second.s3.send(new ListObjectVersionsCommand({ Bucket }))
    expect(Versions).toHaveLength(2)
  })
})

describe('a conditional write', () => {
  test('makes one of any number of simultaneous writers win', async () => {
    const { s3 } = await rigWithBucket()
    const names = ['0', '1', '2', '3', '4', '5']
    const outcomes = await Promise.allSettled(names.map((name) => put(s3, 'one', name, { IfNoneMatch: '*' })))
    const winners = outcomes.flatMap(({ status }, index) => (status === 'fulfilled' ? [String(index)] : []))
    expect(winners).toHaveLength(1)
    expect(await text(s3, 'one')).toBe(winners[0])
    const losers = outcomes.filter((outcome) => outcome.status === 'rejected')
    for (const { reason } of losers)
      expect(reason).toMatchObject({ name: 'PreconditionFailed', $metadata: { httpStatusCode: 412 } })
  })

  test('knows no other condition than that there is nothing', async () => {
    const { s3 } = await rigWithBucket()
    expect(await failureOf(put(s3, 'a', 'x', { IfNoneMatch: '"etag"' }))).toHaveProperty(
      'name',
      'NotImplemented',
    )
  })

  test('can be demanded by the bucket policy, which binds the operator too', async () => {
    const Statement = {
      Effect: 'Deny',
      Action: 's3:PutObject',
      Resource: `arn:aws:s3:::${Bucket}/*`,
      Condition: { Null: { 's3:if-none-match': 'true' } },
    }
    const { s3 } = await rigWithBucket({ denied: [{ Statement }] })
    expect(await failureOf(put(s3, 'a', 'x'))).toHaveProperty('name', 'AccessDenied')
    await put(s3, 'a', 'x', { IfNoneMatch: '*' })
  })
})

describe('versions', () => {
  test('keep what was overwritten, and a deletion hides but does not remove', async () => {
    const { s3 } = await rigWithBucket()
    const { VersionId } = await put(s3, 'a', 'one')
    await put(s3, 'a', 'two')
    await s3.send(new DeleteObjectCommand({ Bucket, Key: 'a' }))
    expect(await failureOf(text(s3, 'a'))).toHaveProperty('name', 'NoSuchKey')
    expect(await text(s3, 'a', VersionId)).toBe('one')
    const { Versions, DeleteMarkers } = await s3.send(new ListObjectVersionsCommand({ Bucket, Prefix: 'a' }))
    expect(Versions?.map((version) => version.IsLatest)).toEqual([false, false])
    expect(DeleteMarkers).toMatchObject([{ Key: 'a', IsLatest: true }])
    // As on AWS: what is hidden does not count as there.
    await put(s3, 'a', 'three', { IfNoneMatch: '*' })
  })

  test('are listed in pages', async () => {
    const { s3 } = await rigWithBucket()
    for (const key of ['p/1', 'p/2', 'p/3', 'q/1']) await put(s3, key, key)
    const first = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: 'p/', MaxKeys: 2 }))
    expect(first.Contents?.map(({ Key }) => Key)).toEqual(['p/1', 'p/2'])
    const ContinuationToken = first.NextContinuationToken
    const second = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: 'p/', ContinuationToken }))
    expect(second.Contents?.map(({ Key }) => Key)).toEqual(['p/3'])
    const versions = await s3.send(new ListObjectVersionsCommand({ Bucket, MaxKeys: 3 }))
    expect(versions).toMatchObject({ IsTruncated: true, NextKeyMarker: 'p/3' })
  })
})

describe('Object Lock', () => {
  const objectLock = { mode: 'COMPLIANCE', days: 400 } as const

  test('locks every new version for the default retention', async () => {
    const { s3 } = await rigWithBucket({ objectLock })
    const { VersionId } = await put(s3, 'a', 'one')
    const { Retention } = await s3.send(new GetObjectRetentionCommand({ Bucket, Key: 'a' }))
    expect(Retention).toEqual({ Mode: 'COMPLIANCE', RetainUntilDate: new Date(NOW + 400 * DAY) })
    const head = await s3.send(new HeadObjectCommand({ Bucket, Key: 'a' }))
    expect(head.ObjectLockMode).toBe('COMPLIANCE')
    const drop = s3.send(new DeleteObjectCommand({ Bucket, Key: 'a', VersionId }))
    expect(await failureOf(drop)).toHaveProperty('name', 'AccessDenied')
    const lock = await s3.send(new GetObjectLockConfigurationCommand({ Bucket }))
    expect(lock.ObjectLockConfiguration?.Rule?.DefaultRetention).toEqual({ Mode: 'COMPLIANCE', Days: 400 })
  })

  test('in compliance mode can be made longer and never shorter, by nobody', async () => {
    const { s3 } = await rigWithBucket({ objectLock })
    const { VersionId } = await put(s3, 'a', 'one')
    const retain = (days: number, Mode: 'COMPLIANCE' | 'GOVERNANCE' = 'COMPLIANCE') =>
      s3.send(
        new PutObjectRetentionCommand({
          Bucket,
          Key: 'a',
          VersionId,
          BypassGovernanceRetention: true,
          Retention: { Mode, RetainUntilDate: new Date(NOW + days * DAY) },
        }),
      )
    await retain(500)
    expect(await failureOf(retain(1))).toHaveProperty('name', 'AccessDenied')
    expect(await failureOf(retain(600, 'GOVERNANCE'))).toHaveProperty('name', 'AccessDenied')
    const bypass = { Bucket, Key: 'a', VersionId, BypassGovernanceRetention: true }
    expect(await failureOf(s3.send(new DeleteObjectCommand(bypass)))).toHaveProperty('name', 'AccessDenied')
  })

  test('in governance mode yields to whoever may bypass it', async () => {
    const { s3 } = await rigWithBucket({ objectLock: { mode: 'GOVERNANCE', days: 1 } })
    const { VersionId } = await put(s3, 'a', 'one')
    const drop = { Bucket, Key: 'a', VersionId }
    expect(await failureOf(s3.send(new DeleteObjectCommand(drop)))).toHaveProperty('name', 'AccessDenied')
    await s3.send(new DeleteObjectCommand({ ...drop, BypassGovernanceRetention: true }))
    expect(await failureOf(text(s3, 'a'))).toHaveProperty('name', 'NoSuchKey')
  })

  test('ends with its time', async () => {
    let now = NOW
    const { s3 } = await rigWithBucket({ objectLock }, { clock: () => now })
    const { VersionId } = await put(s3, 'a', 'one')
    now += 400 * DAY
    await s3.send(new DeleteObjectCommand({ Bucket, Key: 'a', VersionId }))
    expect(await failureOf(text(s3, 'a'))).toHaveProperty('name', 'NoSuchKey')
  })

  test('demands a checksum of what is written', async () => {
    const rig = await rigWithBucket({ objectLock })
    const authorization = `Credential=${OPERATOR_KEY}/20300101/${REGION}/s3/aws4_request`
    const answer = await fetch(`${rig.endpoint.url}/${Bucket}/a`, {
      method: 'PUT',
      headers: { authorization },
      body: 'x',
    })
    expect(answer.status).toBe(400)
    expect(await answer.text()).toContain('<Code>InvalidRequest</Code>')
  })
})

test('S3 refuses an unknown access key, and its throttling is SlowDown', async () => {
  const { endpoint } = await rigWithBucket()
  const { s3 } = clientsOf(endpoint, 'AKIAUNKNOWN')
  expect(await failureOf(put(s3, 'a', 'x'))).toHaveProperty('name', 'InvalidAccessKeyId')
  endpoint.faults.set({ operation: 's3:GetObject', kind: 'throttle' })
  expect(await failureOf(text(s3, 'a'))).toMatchObject({
    name: 'SlowDown',
    $metadata: { httpStatusCode: 503 },
  })
})
