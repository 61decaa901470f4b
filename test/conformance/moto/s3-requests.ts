import { createHash } from 'node:crypto'
import { callS3, type S3Answer } from '../aws-wire.ts'
import type { Outcome, Side } from './outcome.ts'

const DAY_MILLISECONDS = 86_400_000
const KEY = 'audit/000000000001.json'
const LOCK_HEADERS = ['x-amz-object-lock-mode', 'x-amz-delete-marker'] as const

/** What the audit trail asks of its bucket: first writer wins, and nobody deletes. */
export async function s3Outcomes({ url, bucket }: Side): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = []
  const send = async (request: string, method: string, path: string, more: S3Request = {}) => {
    const answer = await callS3(
      `${url}/${bucket}/${path}`,
      method,
      { ...more.headers, ...checksumOf(more.body) },
      more.body,
    )
    outcomes.push({ request: `S3: ${request}`, answer: factsOf(answer) })
    return answer
  }
  const once = { 'if-none-match': '*' }
  const first = await send('writes what is not there', 'PUT', KEY, { body: 'one', headers: once })
  await send('refuses to write what is there', 'PUT', KEY, { body: 'two', headers: once })
  await send('reads what was written first', 'GET', KEY)
  await send('says that it is locked', 'HEAD', KEY)
  await send('reads nothing where nothing is', 'GET', 'audit/none.json')
  const versionId = first.headers.get('x-amz-version-id') ?? ''
  const version = `${KEY}?versionId=${encodeURIComponent(versionId)}`
  const bypass = { 'x-amz-bypass-governance-retention': 'true' }
  await send('refuses to delete a locked version', 'DELETE', version)
  await send('refuses to delete it for who may bypass governance', 'DELETE', version, { headers: bypass })
  await send('refuses to shorten the retention', 'PUT', `${KEY}?retention&versionId=${versionId}`, {
    body: retention('COMPLIANCE', Date.now() + 3_600_000),
  })
  await send('refuses to weaken the retention', 'PUT', `${KEY}?retention&versionId=${versionId}`, {
    body: retention('GOVERNANCE', Date.now() + 2 * DAY_MILLISECONDS),
  })
  await send('lengthens the retention', 'PUT', `${KEY}?retention&versionId=${versionId}`, {
    body: retention('COMPLIANCE', Date.now() + 2 * DAY_MILLISECONDS),
  })
  await send('writes a new version over it', 'PUT', KEY, { body: 'two' })
  await send('reads the new version', 'GET', KEY)
  await send('reads the old version still', 'GET', version)
  await send('hides it under a delete marker', 'DELETE', KEY)
  await send('reads nothing under a delete marker', 'GET', KEY)
  await send('reads the old version under a delete marker', 'GET', version)
  await send('writes where only a delete marker is', 'PUT', KEY, { body: 'three', headers: once })
  await send('lists its objects', 'GET', '?list-type=2&prefix=audit/')
  const wrong = createHash('md5').update('other').digest('base64')
  await send('refuses a body that is not as announced', 'PUT', 'audit/x.json', {
    body: 'x',
    headers: { 'content-md5': wrong },
  })
  await send('refuses retention in the past', 'PUT', 'audit/y.json', {
    body: 'y',
    headers: {
      'x-amz-object-lock-mode': 'COMPLIANCE',
      'x-amz-object-lock-retain-until-date': '2020-01-01T00:00:00Z',
    },
  })
  await send('is versioned', 'GET', '?versioning')
  await send('has its default retention', 'GET', '?object-lock')
  return outcomes
}

interface S3Request {
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** As SDKs send it: Object Lock demands one. */
function checksumOf(body: string | undefined): Record<string, string> {
  if (body === undefined) return {}
  const digest = createHash('sha256').update(body).digest('base64')
  return { 'x-amz-sdk-checksum-algorithm': 'SHA256', 'x-amz-checksum-sha256': digest }
}

function retention(mode: string, until: number): string {
  const date = new Date(until).toISOString()
  return `<Retention xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Mode>${mode}</Mode><RetainUntilDate>${date}</RetainUntilDate></Retention>`
}

/** What the audit trail acts on: status and code; the lock and how many days it lasts; the text of a success. */
function factsOf({ status, code, headers, text }: S3Answer): unknown {
  if (code !== undefined) return { status, code }
  const lock = LOCK_HEADERS.map((name) => [name, headers.get(name)?.toLowerCase()])
  const until = headers.get('x-amz-object-lock-retain-until-date')
  const days = until === null ? undefined : Math.round((Date.parse(until) - Date.now()) / DAY_MILLISECONDS)
  const hasVersion = headers.get('x-amz-version-id') !== null
  return {
    status,
    ...Object.fromEntries(lock),
    days,
    hasVersion,
    text: text.startsWith('<') ? elementsOf(text) : text,
  }
}

/** Those elements of a document that say the same on every side. */
function elementsOf(xml: string): readonly string[] {
  const names = ['Status', 'ObjectLockEnabled', 'Mode', 'Days', 'Key', 'Size', 'KeyCount', 'IsTruncated']
  return names.flatMap((name) => xml.match(new RegExp(`<${name}>[^<]*</${name}>`, 'g')) ?? [])
}
