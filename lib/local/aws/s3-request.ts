import type { IncomingHttpHeaders } from 'node:http'
import { AwsError, type JsonObject } from './aws-error.ts'

/** One request of S3's REST protocol, bucket and key in the path. */
export interface RestRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** What an S3 operation works on. */
export interface S3Input extends JsonObject {
  readonly Bucket: string
  readonly Key: string
  readonly VersionId: string | undefined
  readonly Query: Readonly<Record<string, string>>
  readonly Headers: Readonly<Record<string, string>>
  readonly Body: Buffer
}

/** By method and by what is asked of: an object or a bucket; then by the parameter that tells operations apart. */
const OPERATIONS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'PUT object': { '': 'PutObject', retention: 'PutObjectRetention' },
  'GET object': { '': 'GetObject', retention: 'GetObjectRetention' },
  'HEAD object': { '': 'HeadObject' },
  'DELETE object': { '': 'DeleteObject' },
  'GET bucket': {
    'list-type': 'ListObjectsV2',
    versions: 'ListObjectVersions',
    'object-lock': 'GetObjectLockConfiguration',
    versioning: 'GetBucketVersioning',
  },
}

/** Parameters that tell no operation from another. */
const NEUTRAL = new Set([
  'x-id',
  'versionId',
  'prefix',
  'start-after',
  'continuation-token',
  'max-keys',
  'key-marker',
  'version-id-marker',
  'encoding-type',
])

/** The operation and its input. Throws {@link AwsError} for what this S3 does not offer. */
export function readS3Request({ method, url, headers, body }: RestRequest): {
  readonly operation: string
  readonly input: S3Input
} {
  const { pathname, searchParams } = new URL(url, 'http://s3')
  const [bucket = '', ...rest] = pathname.slice(1).split('/')
  const key = decodeURIComponent(rest.join('/'))
  const query = Object.fromEntries(searchParams)
  const selector = Object.keys(query).filter((name) => !NEUTRAL.has(name))
  const operation = OPERATIONS[`${method} ${key === '' ? 'bucket' : 'object'}`]?.[selector.join(' ')]
  if (operation === undefined || bucket === '' || isChunked(headers)) {
    throw new AwsError('NotImplemented', `${method} ${url} is not offered`, { status: 501 })
  }
  const flat = Object.entries(headers).map(([name, value]) => [name, [value].flat().join(',')])
  const input: S3Input = {
    Bucket: decodeURIComponent(bucket),
    Key: key,
    VersionId: query['versionId'],
    Query: query,
    Headers: Object.fromEntries(flat) as Record<string, string>,
    Body: body,
  }
  return { operation, input }
}

/** A body sent as a stream has signatures and checksums between its parts. Nothing here sends one. */
function isChunked(headers: IncomingHttpHeaders): boolean {
  return [headers['content-encoding']].flat().join(',').includes('aws-chunked')
}
