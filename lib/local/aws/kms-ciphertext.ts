import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { AwsError, type JsonObject } from './aws-error.ts'
import { objectAt, textAt } from './service.ts'

/*
 * What symmetric keys encrypt. AWS keeps its format to itself; ours is: version, key id, nonce, AES-GCM tag, text. All that
 * stands before the tag, and the encryption context, is authenticated with the text.
 */

const VERSION = 1
const ID_BYTES = 16
const NONCE_BYTES = 12
const TAG_BYTES = 16
const HEAD_BYTES = 1 + ID_BYTES
const TEXT_AT = HEAD_BYTES + NONCE_BYTES + TAG_BYTES

/** Non-secret pairs that must be the same again to decrypt. */
export type EncryptionContext = Readonly<Record<string, string>>

/** The `EncryptionContext` of a request. Throws `ValidationException` for anything but texts. */
export function encryptionContextOf(input: JsonObject): EncryptionContext {
  const context = objectAt(input, 'EncryptionContext')
  for (const [name, value] of Object.entries(context)) {
    if (name === '' || typeof value !== 'string')
      throw new AwsError('ValidationException', 'EncryptionContext must map texts to texts')
  }
  return context as EncryptionContext
}

/** Encrypts under a symmetric key: `secret` is its 32 bytes in base64. Returns base64. */
export function encrypt(
  key: { readonly id: string; readonly secret: string },
  plaintext: Buffer,
  context: EncryptionContext,
): string {
  const head = Buffer.concat([Buffer.from([VERSION]), Buffer.from(key.id.replaceAll('-', ''), 'hex')])
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', Buffer.from(key.secret, 'base64'), nonce)
  cipher.setAAD(Buffer.concat([head, canonical(context)]))
  const text = Buffer.concat([cipher.update(plaintext), cipher.final()])
  return Buffer.concat([head, nonce, cipher.getAuthTag(), text]).toString('base64')
}

/** The id of the key that the request's `CiphertextBlob` was made with, or `undefined` if it is no ciphertext at all. */
export function keyIdIn(input: JsonObject): string | undefined {
  const blob = Buffer.from(textAt(input, 'CiphertextBlob') ?? '', 'base64')
  if (blob.length < TEXT_AT || blob[0] !== VERSION) return undefined
  const hex = blob.subarray(1, HEAD_BYTES).toString('hex')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** Decrypts the request's `CiphertextBlob`. Throws `InvalidCiphertextException` if key, context or blob do not fit. */
export function decrypt(secret: string, input: JsonObject, context: EncryptionContext): Buffer {
  const blob = Buffer.from(textAt(input, 'CiphertextBlob') ?? '', 'base64')
  const nonce = blob.subarray(HEAD_BYTES, HEAD_BYTES + NONCE_BYTES)
  const decipher = createDecipheriv('aes-256-gcm', Buffer.from(secret, 'base64'), nonce)
  decipher.setAAD(Buffer.concat([blob.subarray(0, HEAD_BYTES), canonical(context)]))
  decipher.setAuthTag(blob.subarray(HEAD_BYTES + NONCE_BYTES, TEXT_AT))
  try {
    return Buffer.concat([decipher.update(blob.subarray(TEXT_AT)), decipher.final()])
  } catch {
    throw invalidCiphertext()
  }
}

/** AWS says nothing about what is wrong with it. */
export function invalidCiphertext(): AwsError {
  return new AwsError('InvalidCiphertextException', '')
}

function canonical(context: EncryptionContext): Buffer {
  const pairs = Object.entries(context).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return Buffer.from(JSON.stringify(pairs))
}
