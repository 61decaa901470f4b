import { GetObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import type { AuditObjects } from '../core/ports.ts'
import { answerOf } from './aws-client.ts'

/** S3's names for "there is something already", and for "somebody is writing it at this moment". */
const OCCUPIED = 'PreconditionFailed'
const CONFLICT = 'ConditionalRequestConflict'
/** S3 says AccessDenied of an object that is not there to whoever may not list the bucket, as this writer may not. */
const MISSING = new Set(['NoSuchKey', 'AccessDenied'])
const MOST_CONFLICTS = 5
const MAX_CALL_MS = 8000

/** The bucket of the audit trail. Its Object Lock and its policy do what this writer could forget. */
export class S3AuditObjects implements AuditObjects {
  private readonly client: S3Client
  private readonly bucket: string

  constructor(client: S3Client, bucket: string) {
    this.client = client
    this.bucket = bucket
  }

  async put(key: string, bytes: Uint8Array): Promise<'written' | 'exists'> {
    for (let conflicts = 0; ; conflicts++) {
      const outcome = await answerOf('s3', this.tryPut(key, bytes), MAX_CALL_MS)
      if (outcome !== 'conflict') return outcome
      if (conflicts === MOST_CONFLICTS) return 'exists'
    }
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    return answerOf('s3', this.tryGet(key), MAX_CALL_MS)
  }

  private async tryPut(key: string, bytes: Uint8Array): Promise<'written' | 'exists' | 'conflict'> {
    try {
      await this.client.send(
        new PutObjectCommand({
          Bucket: this.bucket,
          Key: key,
          Body: bytes,
          ContentType: 'application/json',
          IfNoneMatch: '*',
          // Object Lock demands a checksum; this one the auditor can compare with the chain.
          ChecksumAlgorithm: 'SHA256',
        }),
      )
      return 'written'
    } catch (error) {
      if (nameOf(error) === OCCUPIED) return 'exists'
      if (nameOf(error) === CONFLICT) return 'conflict'
      throw error
    }
  }

  private async tryGet(key: string): Promise<Uint8Array | undefined> {
    try {
      const { Body } = await this.client.send(new GetObjectCommand({ Bucket: this.bucket, Key: key }))
      if (Body === undefined) throw new Error('an answer without a body')
      return await Body.transformToByteArray()
    } catch (error) {
      if (MISSING.has(nameOf(error))) return undefined
      throw error
    }
  }
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : ''
}
