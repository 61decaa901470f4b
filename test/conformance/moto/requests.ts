import { createHash, createPublicKey, verify } from 'node:crypto'
import { KEY_TAGS, TOKEN_SIGNING } from '../../../functions/key-tags.ts'
import {
  ACCOUNT,
  callJson,
  callSts,
  type Json,
  type JsonObject,
  REGION,
  type WireAnswer,
} from '../aws-wire.ts'
import { essence } from '../differential.ts'
import { encryptionOutcomes } from './encryption-requests.ts'
import { arnForm, type Outcome, objectAt, type Side, textAt } from './outcome.ts'
import { s3Outcomes } from './s3-requests.ts'
import { sqsOutcomes } from './sqs-requests.ts'

interface KeyKind {
  readonly spec: 'RSA_2048' | 'ECC_NIST_P256'
  readonly algorithm: string
  readonly wrongAlgorithm: string
}

const KINDS: readonly KeyKind[] = [
  { spec: 'RSA_2048', algorithm: 'RSASSA_PKCS1_V1_5_SHA_256', wrongAlgorithm: 'ECDSA_SHA_256' },
  { spec: 'ECC_NIST_P256', algorithm: 'ECDSA_SHA_256', wrongAlgorithm: 'RSASSA_PKCS1_V1_5_SHA_256' },
]
const TEXT = 'header.payload'
const DIGEST = createHash('sha256').update(TEXT).digest('base64')
const TAGS = [
  { TagKey: KEY_TAGS.purpose, TagValue: TOKEN_SIGNING },
  { TagKey: KEY_TAGS.stage, TagValue: 'dev' },
]
const UNKNOWN_KEY = '00000000-0000-4000-8000-000000000000'
const ROLE = `arn:aws:iam::${ACCOUNT}:role/ledger-writer`

/** Sends every request to the endpoint, in order. */
export async function outcomesAt(side: Side): Promise<readonly Outcome[]> {
  const { url } = side
  const outcomes: Outcome[] = []
  for (const kind of KINDS) outcomes.push(...(await kmsOutcomes(url, kind)))
  outcomes.push(...(await keylessOutcomes(url)), ...(await encryptionOutcomes(url)))
  outcomes.push(...(await stsOutcomes(url)), ...(await s3Outcomes(side)), ...(await sqsOutcomes(side)))
  return outcomes
}

async function kmsOutcomes(url: string, { spec, algorithm, wrongAlgorithm }: KeyKind): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  const call = (operation: string, input: JsonObject) => callJson(url, 'kms', operation, input)
  const note = (request: string, answer: unknown) =>
    void outcomes.push({ request: `${spec}: ${request}`, answer })

  const creation = { KeySpec: spec, KeyUsage: 'SIGN_VERIFY', Description: 'signs tokens', Tags: TAGS }
  const created = await call('CreateKey', creation)
  const metadata = objectAt(created.body, 'KeyMetadata')
  const KeyId = textAt(metadata, 'Arn')
  // moto's DisableKey and its like know no ARNs.
  const id = { KeyId: textAt(metadata, 'KeyId') }
  note('creates a key with tags', { ...header(created), ...keyFacts(metadata), arn: arnForm(KeyId) })
  note('lists its tags', (await call('ListResourceTags', { KeyId })).body['Tags'])

  const published = await call('GetPublicKey', { KeyId })
  note('gives the public key', {
    ...header(published),
    ...keyFacts(published.body),
    KeyId: arnForm(textAt(published.body, 'KeyId')),
    key: publicKeyFacts(published),
  })

  const signing = { KeyId, SigningAlgorithm: algorithm, MessageType: 'DIGEST', Message: DIGEST }
  const signatureFacts = (answer: WireAnswer) => ({
    ...header(answer),
    KeyId: arnForm(textAt(answer.body, 'KeyId')),
    SigningAlgorithm: answer.body['SigningAlgorithm'],
    signs: whatIsSigned(published, answer),
  })
  note('signs a digest', signatureFacts(await call('Sign', signing)))
  note('signs a digest by the key id', signatureFacts(await call('Sign', { ...signing, ...id })))
  note(
    'signs a message',
    signatureFacts(
      await call('Sign', { ...signing, MessageType: 'RAW', Message: Buffer.from(TEXT).toString('base64') }),
    ),
  )

  const refused = async (request: string, operation: string, input: JsonObject) =>
    note(request, essence(await call(operation, input)))
  await refused("refuses another kind's algorithm", 'Sign', { ...signing, SigningAlgorithm: wrongAlgorithm })
  await refused('refuses an unknown algorithm', 'Sign', { ...signing, SigningAlgorithm: 'HS256' })
  await refused('refuses a digest of 31 bytes', 'Sign', {
    ...signing,
    Message: Buffer.alloc(31).toString('base64'),
  })
  await refused('refuses an empty message', 'Sign', { ...signing, MessageType: 'RAW', Message: '' })
  await refused('refuses a message above 4096 bytes', 'Sign', {
    ...signing,
    MessageType: 'RAW',
    Message: Buffer.alloc(4097).toString('base64'),
  })
  await refused('refuses an unknown message type', 'Sign', { ...signing, MessageType: 'HASH' })
  await refused('refuses to rotate it', 'EnableKeyRotation', id)
  await refused('disables it', 'DisableKey', id)
  await refused('refuses to sign while it is disabled', 'Sign', signing)
  await refused('refuses the public key while it is disabled', 'GetPublicKey', { KeyId })
  await refused('enables it', 'EnableKey', id)
  note('signs again', signatureFacts(await call('Sign', signing)))
  await refused('refuses deletion in 6 days', 'ScheduleKeyDeletion', { ...id, PendingWindowInDays: 6 })
  note('schedules its deletion', header(await call('ScheduleKeyDeletion', { ...id, PendingWindowInDays: 7 })))
  await refused('refuses to sign while it waits for deletion', 'Sign', signing)
  return outcomes
}

async function keylessOutcomes(url: string): Promise<readonly Outcome[]> {
  const requests: readonly (readonly [name: string, operation: string, input: JsonObject])[] = [
    ['refuses an unknown key spec', 'CreateKey', { KeySpec: 'RSA_1024', KeyUsage: 'SIGN_VERIFY' }],
    [
      'refuses a P-256 key that encrypts',
      'CreateKey',
      { KeySpec: 'ECC_NIST_P256', KeyUsage: 'ENCRYPT_DECRYPT' },
    ],
    ['refuses an RSA key without a usage', 'CreateKey', { KeySpec: 'RSA_2048' }],
    [
      'refuses a tag key twice',
      'CreateKey',
      { KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY', Tags: [TAGS[0], TAGS[0]] as Json },
    ],
    [
      'refuses a tag key of AWS',
      'CreateKey',
      {
        KeySpec: 'ECC_NIST_P256',
        KeyUsage: 'SIGN_VERIFY',
        Tags: [{ TagKey: 'aws:purpose', TagValue: 'x' }],
      },
    ],
    ['refuses the public key of an unknown key', 'GetPublicKey', { KeyId: UNKNOWN_KEY }],
    ['refuses the public key of an unknown alias', 'GetPublicKey', { KeyId: 'alias/none' }],
    [
      'refuses to sign with an unknown key',
      'Sign',
      {
        KeyId: `arn:aws:kms:${REGION}:${ACCOUNT}:key/${UNKNOWN_KEY}`,
        SigningAlgorithm: 'ECDSA_SHA_256',
        MessageType: 'DIGEST',
        Message: DIGEST,
      },
    ],
    ['refuses an operation that is not there', 'SignTwice', {}],
  ]
  const outcomes: Outcome[] = []
  for (const [request, operation, input] of requests) {
    outcomes.push({
      request: `KMS: ${request}`,
      answer: essence(await callJson(url, 'kms', operation, input)),
    })
  }
  const symmetric = await callJson(url, 'kms', 'CreateKey', {})
  const KeyId = textAt(objectAt(symmetric.body, 'KeyMetadata'), 'KeyId')
  const answer = essence(await callJson(url, 'kms', 'GetPublicKey', { KeyId }))
  return [...outcomes, { request: 'KMS: refuses the public key of a symmetric key', answer }]
}

async function stsOutcomes(url: string): Promise<readonly Outcome[]> {
  const assume = { Action: 'AssumeRole', RoleArn: ROLE, RoleSessionName: 'token-broker' }
  const tag = (key: string, value: string, at = 1) => ({
    [`Tags.member.${at}.Key`]: key,
    [`Tags.member.${at}.Value`]: value,
  })
  const requests: readonly (readonly [name: string, input: Readonly<Record<string, string>>])[] = [
    ['says who calls', { Action: 'GetCallerIdentity' }],
    ['assumes a role', assume],
    ['assumes a role with tags', { ...assume, ...tag('repository', 'octo-org/payments') }],
    ['assumes a role with a source identity', { ...assume, SourceIdentity: 'octocat' }],
    ['refuses a session name with a slash', { ...assume, RoleSessionName: 'a/b' }],
    ['refuses a session name of one letter', { ...assume, RoleSessionName: 'a' }],
    ['refuses 899 seconds', { ...assume, DurationSeconds: '899' }],
    ['refuses 43201 seconds', { ...assume, DurationSeconds: '43201' }],
    ['refuses a tag twice', { ...assume, ...tag('a', '1'), ...tag('A', '2', 2) }],
    ['refuses a session policy that is not JSON', { ...assume, Policy: '{' }],
    ['refuses a role without a session name', { Action: 'AssumeRole', RoleArn: ROLE }],
    ['refuses a role ARN that is none', { ...assume, RoleArn: 'arn:aws:iam::1:user/x-y-z' }],
  ]
  const outcomes: Outcome[] = []
  for (const [request, input] of requests) {
    const { status, code, body } = await callSts(url, input)
    const facts =
      code === undefined
        ? { status, names: Object.keys(body).sort(), arn: arnForm(body['Arn']) }
        : { status, code }
    outcomes.push({ request: `STS: ${request}`, answer: facts })
  }
  return outcomes
}

function header({ status, code }: WireAnswer): object {
  return code === undefined ? { status } : { status, code }
}

/** What of a key both sides must agree on, in an order that does not matter. */
function keyFacts(key: JsonObject): object {
  const { KeySpec, KeyUsage, KeyState, Enabled, Description, Origin, KeyManager } = key
  const algorithms = key['SigningAlgorithms']
  const SigningAlgorithms = Array.isArray(algorithms) ? algorithms.map(String).sort() : algorithms
  return { KeySpec, KeyUsage, KeyState, Enabled, Description, Origin, KeyManager, SigningAlgorithms }
}

function publicKeyFacts({ body }: WireAnswer): unknown {
  const key = publicKeyOf(body)
  return { type: key.asymmetricKeyType, ...key.asymmetricKeyDetails, publicExponent: undefined }
}

function publicKeyOf(body: JsonObject) {
  return createPublicKey({
    key: Buffer.from(textAt(body, 'PublicKey'), 'base64'),
    format: 'der',
    type: 'spki',
  })
}

/** A digest that is hashed again before it is signed is a mistake worth telling from others. */
function whatIsSigned(published: WireAnswer, { body }: WireAnswer): string {
  const signature = Buffer.from(textAt(body, 'Signature'), 'base64')
  const verifies = (signed: Buffer) => verify('sha256', signed, publicKeyOf(published.body), signature)
  if (verifies(Buffer.from(TEXT))) return 'the text'
  return verifies(Buffer.from(DIGEST, 'base64')) ? 'the digest of the digest' : 'something else'
}
