import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { AwsError, type JsonObject } from './aws-error.ts'
import type { Cloud } from './cloud.ts'
import {
  type AccessRequest,
  type CompiledPolicies,
  compilePolicies,
  decide,
  type PolicyDocument,
} from './iam.ts'
import type { S3Input } from './s3-request.ts'
import { type ObjectVersion, type Retention, type RetentionMode, VersionStore } from './s3-store.ts'
import { s3Xml } from './s3-xml.ts'
import type { AwsService, Caller, ServiceCall } from './service.ts'

/** A bucket, as far as its template says. Versioned, always: nothing here has any other. */
export interface BucketDefinition {
  readonly name: string
  /** Default retention of new versions. `undefined`: without Object Lock. */
  readonly objectLock: { readonly mode: RetentionMode; readonly days: number } | undefined
  /** The Deny statements of the bucket policy, without their principal: they bind everybody. */
  readonly denied: readonly PolicyDocument[]
}

interface Bucket {
  readonly definition: BucketDefinition
  readonly denied: CompiledPolicies
  readonly store: VersionStore
}

/** What goes back over S3's REST protocol. */
export interface RestOutput extends JsonObject {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | string
}

interface BucketCall {
  readonly bucket: Bucket
  readonly input: S3Input
  readonly caller: Caller | undefined
}

type Operation = (call: BucketCall) => Promise<RestOutput> | RestOutput

const DAY_MILLISECONDS = 86_400_000
const XML = { 'content-type': 'application/xml' }
/** Operation to IAM action, where they are not called alike; `…Version` where a version is named. */
const ACTIONS: Readonly<Record<string, string>> = {
  HeadObject: 'GetObject',
  ListObjectsV2: 'ListBucket',
  ListObjectVersions: 'ListBucketVersions',
  GetObjectLockConfiguration: 'GetBucketObjectLockConfiguration',
}
const OF_VERSIONS = new Set(['GetObject', 'DeleteObject'])
const ON_BUCKET = new Set([
  'ListObjectsV2',
  'ListObjectVersions',
  'GetObjectLockConfiguration',
  'GetBucketVersioning',
])
const CHECKSUMS: Readonly<Record<string, (body: Buffer) => string>> = {
  'x-amz-checksum-sha256': (body) => createHash('sha256').update(body).digest('base64'),
  'x-amz-checksum-sha1': (body) => createHash('sha1').update(body).digest('base64'),
  'x-amz-checksum-crc32': (body) => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(crc32(body))
    return bytes.toString('base64')
  },
  'content-md5': (body) => createHash('md5').update(body).digest('base64'),
}

/** S3, as strict as AWS about versions, conditional writes, checksums, Object Lock and the denials of bucket policies. */
export class S3 implements AwsService {
  readonly unsigned = new Set<string>()
  readonly accessDenied = { type: 'AccessDenied', status: 403 }
  readonly unknownCaller = { type: 'InvalidAccessKeyId', status: 403 }
  readonly #cloud: Cloud
  readonly #folder: string | undefined
  readonly #buckets = new Map<string, Bucket>()
  readonly #operations: ReadonlyMap<string, Operation> = new Map<string, Operation>([
    ['PutObject', (call) => this.#putObject(call)],
    ['GetObject', (call) => this.#getObject(call)],
    ['HeadObject', (call) => ({ ...this.#getObject(call), body: '' })],
    ['DeleteObject', (call) => this.#deleteObject(call)],
    ['GetObjectRetention', (call) => this.#getRetention(call)],
    ['PutObjectRetention', (call) => this.#putRetention(call)],
    ['ListObjectsV2', (call) => this.#listObjects(call)],
    ['ListObjectVersions', (call) => this.#listVersions(call)],
    ['GetObjectLockConfiguration', ({ bucket }) => lockConfiguration(bucket.definition)],
    ['GetBucketVersioning', () => xml('VersioningConfiguration', { Status: 'Enabled' })],
  ])

  constructor(cloud: Cloud, folder?: string) {
    this.#cloud = cloud
    this.#folder = folder
  }

  /** Makes the bucket, or takes over the one of that name in the data folder with its objects. */
  async createBucket(definition: BucketDefinition): Promise<void> {
    const folder = this.#folder === undefined ? undefined : join(this.#folder, definition.name)
    const store = await VersionStore.open(folder)
    this.#buckets.set(definition.name, { definition, denied: compilePolicies(definition.denied), store })
  }

  access(operation: string, given: JsonObject): readonly AccessRequest[] | undefined {
    if (!this.#operations.has(operation)) return undefined
    const input = given as S3Input
    const named = ACTIONS[operation] ?? operation
    const action = `s3:${named}${OF_VERSIONS.has(named) && input.VersionId !== undefined ? 'Version' : ''}`
    const bucketArn = `arn:aws:s3:::${input.Bucket}`
    const resource = ON_BUCKET.has(operation) ? bucketArn : `${bucketArn}/${input.Key}`
    const context = {
      's3:if-none-match': input.Headers['if-none-match'],
      's3:prefix': input.Query['prefix'],
    }
    const bypass = input.Headers['x-amz-bypass-governance-retention'] === 'true'
    return [
      { action, resource, context },
      ...(bypass ? [{ action: 's3:BypassGovernanceRetention', resource, context }] : []),
    ]
  }

  async call({ operation, input: given, caller }: ServiceCall): Promise<RestOutput> {
    const input = given as S3Input
    const carryOut = this.#operations.get(operation)
    const bucket = this.#buckets.get(input.Bucket)
    if (carryOut === undefined)
      throw new AwsError('NotImplemented', `${operation} is not offered`, { status: 501 })
    if (bucket === undefined)
      throw new AwsError('NoSuchBucket', 'The specified bucket does not exist', { status: 404 })
    for (const request of this.access(operation, input) ?? []) refuseDenied(bucket, request)
    return carryOut({ bucket, input, caller })
  }

  async #putObject({ bucket, input }: BucketCall): Promise<RestOutput> {
    const { Key: key, Headers: headers, Body: body } = input
    const checksums = checkedChecksums(headers, body)
    const retention = this.#retentionOf(bucket, headers)
    if (retention !== undefined && Object.keys(checksums).length === 0)
      throw invalidRequest(
        'Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters',
      )
    refuseUnmatched(headers, bucket.store.versions(key)[0])
    const { 'content-md5': _, ...kept } = checksums
    const version = await bucket.store.add({
      key,
      isDeleteMarker: false,
      body: body.toString('base64'),
      contentType: headers['content-type'] ?? 'binary/octet-stream',
      checksums: kept,
      writtenAt: this.#cloud.clock(),
      ...(retention !== undefined && { retention }),
    })
    return { status: 200, headers: { ...versionHeaders(version), ...kept }, body: '' }
  }

  #getObject({ bucket, input, caller }: BucketCall): RestOutput {
    const version = this.#version(bucket, input, caller)
    if (version.isDeleteMarker)
      throw new AwsError('MethodNotAllowed', 'The specified method is not allowed against this resource.', {
        status: 405,
      })
    const body = Buffer.from(version.body, 'base64')
    const { retention } = version
    const wantsChecksum = input.Headers['x-amz-checksum-mode'] === 'ENABLED'
    return {
      status: 200,
      headers: {
        ...versionHeaders(version),
        'content-type': version.contentType,
        'content-length': String(body.length),
        'last-modified': new Date(version.writtenAt).toUTCString(),
        'accept-ranges': 'bytes',
        ...(retention !== undefined && {
          'x-amz-object-lock-mode': retention.mode,
          'x-amz-object-lock-retain-until-date': new Date(retention.until).toISOString(),
        }),
        ...(wantsChecksum && version.checksums),
      },
      body,
    }
  }

  /** Without a version: a delete marker on top, which Object Lock does not prevent. With one: the version itself, for good. */
  async #deleteObject({ bucket, input }: BucketCall): Promise<RestOutput> {
    const { Key: key, VersionId: versionId } = input
    if (versionId === undefined) {
      const marker = await bucket.store.add({
        key,
        isDeleteMarker: true,
        body: '',
        contentType: '',
        checksums: {},
        writtenAt: this.#cloud.clock(),
      })
      const headers = { 'x-amz-version-id': marker.versionId, 'x-amz-delete-marker': 'true' }
      return { status: 204, headers, body: '' }
    }
    const version = bucket.store.versions(key).find((one) => one.versionId === versionId)
    if (version !== undefined) {
      this.#refuseLocked(version, input)
      await bucket.store.remove(version)
    }
    return { status: 204, headers: { 'x-amz-version-id': versionId }, body: '' }
  }

  #getRetention({ bucket, input, caller }: BucketCall): RestOutput {
    const { retention } = this.#version(bucket, input, caller)
    if (retention === undefined)
      throw new AwsError(
        'NoSuchObjectLockConfiguration',
        'The specified object does not have a ObjectLock configuration',
        { status: 404 },
      )
    return xml('Retention', {
      Mode: retention.mode,
      RetainUntilDate: new Date(retention.until).toISOString(),
    })
  }

  async #putRetention({ bucket, input, caller }: BucketCall): Promise<RestOutput> {
    const version = this.#version(bucket, input, caller)
    const text = input.Body.toString()
    const mode = /<Mode>(GOVERNANCE|COMPLIANCE)<\/Mode>/.exec(text)?.[1] as RetentionMode | undefined
    const until = Date.parse(/<RetainUntilDate>([^<]+)</.exec(text)?.[1] ?? '')
    if (mode === undefined || Number.isNaN(until)) throw invalidRequest('The retention is malformed')
    const { retention } = version
    const weakens =
      retention !== undefined &&
      (until < retention.until || (retention.mode === 'COMPLIANCE' && mode !== 'COMPLIANCE'))
    if (weakens) this.#refuseLocked(version, input)
    await bucket.store.replace({ ...version, retention: { mode, until } })
    return { status: 200, headers: {}, body: '' }
  }

  #listObjects({ bucket, input }: BucketCall): RestOutput {
    const { prefix = '', 'start-after': after = '', 'continuation-token': token = '' } = input.Query
    const current = bucket.store.keys.filter((key) => key.startsWith(prefix) && key > after && key > token)
    const present = current.filter((key) => bucket.store.versions(key)[0]?.isDeleteMarker === false)
    const page = present.slice(0, pageSize(input))
    const last = page.at(-1)
    const isTruncated = last !== undefined && page.length < present.length
    return xml('ListBucketResult', {
      Name: input.Bucket,
      Prefix: prefix,
      KeyCount: page.length,
      MaxKeys: pageSize(input),
      IsTruncated: isTruncated,
      NextContinuationToken: isTruncated ? last : undefined,
      Contents: page.map((key) => listed(bucket.store.versions(key)[0])),
    })
  }

  /** Pages end between keys: AWS may also end one between two versions of a key. */
  #listVersions({ bucket, input }: BucketCall): RestOutput {
    const { prefix = '', 'key-marker': marker = '' } = input.Query
    const keys = bucket.store.keys.filter((key) => key.startsWith(prefix) && key > marker)
    const page = keys.slice(0, pageSize(input))
    const last = page.at(-1)
    const isTruncated = last !== undefined && page.length < keys.length
    const versions = page.flatMap((key) =>
      bucket.store.versions(key).map((version, index) => ({ version, isLatest: index === 0 })),
    )
    const shown = (markers: boolean) =>
      versions
        .filter(({ version }) => version.isDeleteMarker === markers)
        .map(({ version, isLatest }) => ({
          ...listed(version),
          VersionId: version.versionId,
          IsLatest: isLatest,
        }))
    return xml('ListVersionsResult', {
      Name: input.Bucket,
      Prefix: prefix,
      MaxKeys: pageSize(input),
      IsTruncated: isTruncated,
      NextKeyMarker: isTruncated ? last : undefined,
      NextVersionIdMarker: isTruncated ? bucket.store.versions(last).at(-1)?.versionId : undefined,
      Version: shown(false),
      DeleteMarker: shown(true),
    })
  }

  /** The named version, or the current one. Whoever may not list the bucket does not learn what is missing. */
  #version(bucket: Bucket, input: S3Input, caller: Caller | undefined): ObjectVersion {
    const versions = bucket.store.versions(input.Key)
    const version =
      input.VersionId === undefined
        ? versions.slice(0, 1).find(({ isDeleteMarker }) => !isDeleteMarker)
        : versions.find(({ versionId }) => versionId === input.VersionId)
    if (version !== undefined) return version
    if (!mayList(caller, input.Bucket)) throw new AwsError('AccessDenied', 'Access Denied', { status: 403 })
    throw input.VersionId === undefined
      ? new AwsError('NoSuchKey', 'The specified key does not exist.', { status: 404 })
      : new AwsError('NoSuchVersion', 'The specified version does not exist.', { status: 404 })
  }

  #retentionOf({ definition }: Bucket, headers: S3Input['Headers']): Retention | undefined {
    const { objectLock } = definition
    const mode = headers['x-amz-object-lock-mode']
    if (mode !== undefined) {
      if (objectLock === undefined) throw invalidRequest('Bucket is missing Object Lock Configuration')
      const until = Date.parse(headers['x-amz-object-lock-retain-until-date'] ?? '')
      if ((mode !== 'GOVERNANCE' && mode !== 'COMPLIANCE') || !(until > this.#cloud.clock()))
        throw new AwsError('InvalidArgument', 'The retain until date must be in the future!')
      return { mode, until }
    }
    return (
      objectLock && { mode: objectLock.mode, until: this.#cloud.clock() + objectLock.days * DAY_MILLISECONDS }
    )
  }

  /** The right to bypass was checked with the call. Nobody bypasses compliance. */
  #refuseLocked({ retention }: ObjectVersion, { Headers: headers }: S3Input): void {
    if (retention === undefined || retention.until <= this.#cloud.clock()) return
    const bypass = headers['x-amz-bypass-governance-retention'] === 'true'
    if (retention.mode === 'GOVERNANCE' && bypass) return
    throw new AwsError('AccessDenied', 'Access Denied because object protected by object lock.', {
      status: 403,
    })
  }
}

function refuseDenied({ denied }: Bucket, request: AccessRequest): void {
  const context = { 'aws:SecureTransport': 'true', ...request.context }
  const decision = decide(denied, { ...request, context })
  if (decision.kind === 'denied' && decision.reason === 'explicit_deny')
    throw new AwsError(
      'AccessDenied',
      `${request.action} is denied with an explicit deny in a resource-based policy`,
      { status: 403 },
    )
}

function mayList(caller: Caller | undefined, bucket: string): boolean {
  const policies = caller?.principal.policies
  if (policies === undefined) return true
  const request = { action: 's3:ListBucket', resource: `arn:aws:s3:::${bucket}`, context: {} }
  return decide(compilePolicies(policies), request).kind === 'allowed'
}

/** `If-None-Match: *` is the one condition that S3 knows for new objects; a delete marker counts as nothing. */
function refuseUnmatched(headers: S3Input['Headers'], current: ObjectVersion | undefined): void {
  const condition = headers['if-none-match']
  if (headers['if-match'] !== undefined || (condition !== undefined && condition !== '*'))
    throw new AwsError(
      'NotImplemented',
      'A header you provided implies functionality that is not implemented',
      { status: 501 },
    )
  if (condition === '*' && current !== undefined && !current.isDeleteMarker)
    throw new AwsError(
      'PreconditionFailed',
      'At least one of the pre-conditions you specified did not hold',
      { status: 412 },
    )
}

function checkedChecksums(headers: S3Input['Headers'], body: Buffer): Readonly<Record<string, string>> {
  const given = Object.entries(CHECKSUMS).flatMap(([name, digest]) => {
    const expected = headers[name]
    return expected === undefined ? [] : [{ name, expected, actual: digest(body) }]
  })
  const wrong = given.find(({ expected, actual }) => expected !== actual)
  if (wrong !== undefined)
    throw new AwsError('BadDigest', `The ${wrong.name} you specified did not match what we received.`)
  return Object.fromEntries(given.map(({ name, expected }) => [name, expected]))
}

function versionHeaders(version: ObjectVersion): Readonly<Record<string, string>> {
  return {
    etag: etagOf(version),
    'x-amz-version-id': version.versionId,
    'x-amz-server-side-encryption': 'AES256',
  }
}

function etagOf({ body }: ObjectVersion): string {
  return `"${createHash('md5').update(Buffer.from(body, 'base64')).digest('hex')}"`
}

function listed(version: ObjectVersion | undefined) {
  if (version === undefined) return {}
  const { key, writtenAt, isDeleteMarker, body } = version
  const common = { Key: key, LastModified: new Date(writtenAt).toISOString() }
  if (isDeleteMarker) return common
  return {
    ...common,
    ETag: etagOf(version),
    Size: Buffer.byteLength(body, 'base64'),
    StorageClass: 'STANDARD',
  }
}

function lockConfiguration({ objectLock }: BucketDefinition): RestOutput {
  if (objectLock === undefined)
    throw new AwsError(
      'ObjectLockConfigurationNotFoundError',
      'Object Lock configuration does not exist for this bucket',
      { status: 404 },
    )
  const { mode, days } = objectLock
  return xml('ObjectLockConfiguration', {
    ObjectLockEnabled: 'Enabled',
    Rule: { DefaultRetention: { Mode: mode, Days: days } },
  })
}

function pageSize({ Query: query }: S3Input): number {
  return Math.min(Number(query['max-keys'] ?? 1000), 1000)
}

function xml(root: string, content: Parameters<typeof s3Xml>[1]): RestOutput {
  return { status: 200, headers: XML, body: s3Xml(root, content) }
}

function invalidRequest(message: string): AwsError {
  return new AwsError('InvalidRequest', message)
}
