import { callJson, type JsonObject } from '../aws-wire.ts'
import { arnForm, type Outcome, objectAt, textAt } from './outcome.ts'

const CONTEXT = { purpose: 'delegated-signing', stage: 'dev' } as const
const Plaintext = Buffer.from('plaintext').toString('base64')

/** What the wrapping of delegated keys asks a symmetric key for. */
export async function encryptionOutcomes(url: string): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = []
  const call = (operation: string, input: JsonObject) => callJson(url, 'kms', operation, input)
  const note = async (request: string, operation: string, input: JsonObject, facts: readonly string[]) => {
    const { status, code, body } = await call(operation, input)
    const said = Object.fromEntries(facts.map((name) => [name, arnForm(body[name])]))
    outcomes.push({
      request: `KMS: ${request}`,
      answer: code === undefined ? { status, ...said } : { status, code },
    })
    return body
  }
  const made = objectAt((await call('CreateKey', { Description: 'wraps' })).body, 'KeyMetadata')
  const KeyId = textAt(made, 'Arn')
  const other = textAt(objectAt((await call('CreateKey', {})).body, 'KeyMetadata'), 'Arn')
  const encryption = { KeyId, Plaintext, EncryptionContext: CONTEXT }
  const encrypted = await note('encrypts', 'Encrypt', encryption, ['KeyId'])
  const CiphertextBlob = textAt(encrypted, 'CiphertextBlob')
  const decryption = { CiphertextBlob, EncryptionContext: CONTEXT }
  const facts = ['KeyId', 'Plaintext']
  await note('decrypts', 'Decrypt', { ...decryption, KeyId }, facts)
  await note('decrypts without being told the key', 'Decrypt', decryption, facts)
  const swapped = Object.fromEntries(Object.entries(CONTEXT).reverse())
  await note(
    'decrypts whatever the order of the context',
    'Decrypt',
    { ...decryption, EncryptionContext: swapped },
    facts,
  )
  const refused: readonly (readonly [request: string, operation: string, input: JsonObject])[] = [
    ['refuses to decrypt under another key', 'Decrypt', { ...decryption, KeyId: other }],
    ['refuses to decrypt without the context', 'Decrypt', { CiphertextBlob }],
    [
      'refuses to decrypt with another context',
      'Decrypt',
      { ...decryption, EncryptionContext: { ...CONTEXT, stage: 'prod' } },
    ],
    [
      'refuses to decrypt a changed text',
      'Decrypt',
      { ...decryption, CiphertextBlob: withLastBitFlipped(CiphertextBlob) },
    ],
    ['refuses to decrypt what is no ciphertext', 'Decrypt', { ...decryption, CiphertextBlob: Plaintext }],
    ['refuses to encrypt nothing', 'Encrypt', { ...encryption, Plaintext: '' }],
    [
      'refuses to encrypt more than 4096 bytes',
      'Encrypt',
      { ...encryption, Plaintext: Buffer.alloc(4097).toString('base64') },
    ],
  ]
  for (const [request, operation, input] of refused) await note(request, operation, input, [])
  const pair = { KeyId, KeyPairSpec: 'ECC_NIST_P256', EncryptionContext: CONTEXT }
  const pairFacts = ['KeyId', 'KeyPairSpec']
  await note('makes a data key pair', 'GenerateDataKeyPairWithoutPlaintext', pair, pairFacts)
  await call('DisableKey', { KeyId: textAt(made, 'KeyId') })
  await note('refuses to decrypt while the key is disabled', 'Decrypt', decryption, [])
  return outcomes
}

function withLastBitFlipped(base64: string): string {
  const bytes = Buffer.from(base64, 'base64')
  if (bytes.length > 0) bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1)
  return bytes.toString('base64')
}
