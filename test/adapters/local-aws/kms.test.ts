import { constants, createHash, createPublicKey, createVerify, randomBytes, verify } from 'node:crypto'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  CancelKeyDeletionCommand,
  CreateAliasCommand,
  CreateKeyCommand,
  type CreateKeyCommandInput,
  DeleteAliasCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  EnableKeyRotationCommand,
  GetKeyRotationStatusCommand,
  GetPublicKeyCommand,
  type KeySpec,
  type KMSClient,
  ListAliasesCommand,
  ListKeysCommand,
  ListResourceTagsCommand,
  ScheduleKeyDeletionCommand,
  SignCommand,
  type SigningAlgorithmSpec,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateAliasCommand,
  VerifyCommand,
} from '@aws-sdk/client-kms'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ACCOUNT, failureOf, REGION, type Rig, startRig } from './support.ts'

const DAY = 86_400_000
const P256 = { KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' } as const

async function newKey(kms: KMSClient, input: CreateKeyCommandInput = P256): Promise<string> {
  const { KeyMetadata } = await kms.send(new CreateKeyCommand(input))
  return KeyMetadata?.KeyId ?? ''
}

async function publicKeyOf(kms: KMSClient, KeyId: string) {
  const { PublicKey } = await kms.send(new GetPublicKeyCommand({ KeyId }))
  return createPublicKey({ key: Buffer.from(PublicKey ?? []), format: 'der', type: 'spki' })
}

const arnOf = (id: string) => `arn:aws:kms:${REGION}:${ACCOUNT}:key/${id}`
const signing = (KeyId: string, more = {}) =>
  new SignCommand({ KeyId, Message: Buffer.from('message'), SigningAlgorithm: 'ECDSA_SHA_256', ...more })

describe('signatures', () => {
  const pss = (saltLength: number) => ({ padding: constants.RSA_PKCS1_PSS_PADDING, saltLength })
  test.each([
    ['RSA_2048', 'RSASSA_PKCS1_V1_5_SHA_256', 'sha256', {}],
    ['RSA_2048', 'RSASSA_PKCS1_V1_5_SHA_384', 'sha384', {}],
    ['RSA_2048', 'RSASSA_PKCS1_V1_5_SHA_512', 'sha512', {}],
    ['RSA_2048', 'RSASSA_PSS_SHA_256', 'sha256', pss(32)],
    ['RSA_2048', 'RSASSA_PSS_SHA_512', 'sha512', pss(64)],
    ['RSA_3072', 'RSASSA_PSS_SHA_256', 'sha256', pss(32)],
    ['RSA_4096', 'RSASSA_PKCS1_V1_5_SHA_256', 'sha256', {}],
    ['ECC_NIST_P256', 'ECDSA_SHA_256', 'sha256', {}],
    ['ECC_NIST_P384', 'ECDSA_SHA_384', 'sha384', {}],
  ] satisfies [KeySpec, SigningAlgorithmSpec, string, object][])(
    '%s signs with %s, as message and as digest',
    async (KeySpec, SigningAlgorithm, hash, options) => {
      const { kms } = await startRig()
      const KeyId = await newKey(kms, { KeySpec, KeyUsage: 'SIGN_VERIFY' })
      const key = await publicKeyOf(kms, KeyId)
      const message = randomBytes(100)
      const digest = createHash(hash).update(message).digest()
      for (const [Message, MessageType] of [
        [message, 'RAW'],
        [digest, 'DIGEST'],
      ] as const) {
        const signed = await kms.send(new SignCommand({ KeyId, Message, MessageType, SigningAlgorithm }))
        expect(signed).toMatchObject({ KeyId: arnOf(KeyId), SigningAlgorithm })
        const Signature = Buffer.from(signed.Signature ?? [])
        expect(verify(hash, message, { key, ...options }, Signature)).toBe(true)
        const check = { KeyId, Message, MessageType, SigningAlgorithm }
        expect(await kms.send(new VerifyCommand({ ...check, Signature }))).toMatchObject({
          SignatureValid: true,
        })
        Signature[Signature.length - 1] = (Signature[Signature.length - 1] ?? 0) ^ 1
        const failure = await failureOf(kms.send(new VerifyCommand({ ...check, Signature })))
        expect(failure).toHaveProperty('name', 'KMSInvalidSignatureException')
      }
    },
  )

  test('a PSS signature has a salt as long as its digest, not the longest possible', async () => {
    const { kms } = await startRig()
    const KeyId = await newKey(kms, { KeySpec: 'RSA_2048', KeyUsage: 'SIGN_VERIFY' })
    const message = Buffer.from('message')
    const SigningAlgorithm = 'RSASSA_PSS_SHA_256'
    const { Signature } = await kms.send(new SignCommand({ KeyId, Message: message, SigningAlgorithm }))
    const key = { key: await publicKeyOf(kms, KeyId), padding: constants.RSA_PKCS1_PSS_PADDING }
    const longest = 256 - 32 - 2
    const signature = Buffer.from(Signature ?? [])
    expect(
      createVerify('sha256')
        .update(message)
        .verify({ ...key, saltLength: 32 }, signature),
    ).toBe(true)
    expect(
      createVerify('sha256')
        .update(message)
        .verify({ ...key, saltLength: longest }, signature),
    ).toBe(false)
  })

  test('1,000 ES256 signatures verify', async () => {
    const { kms } = await startRig()
    const KeyId = await newKey(kms)
    const key = await publicKeyOf(kms, KeyId)
    const messages = Array.from({ length: 1000 }, () => randomBytes(64))
    const signOne = async (message: Buffer) => {
      const Message = createHash('sha256').update(message).digest()
      const { Signature } = await kms.send(signing(KeyId, { Message, MessageType: 'DIGEST' }))
      return verify('sha256', message, key, Buffer.from(Signature ?? []))
    }
    const verified: boolean[] = []
    for (let start = 0; start < messages.length; start += 50) {
      verified.push(...(await Promise.all(messages.slice(start, start + 50).map(signOne))))
    }
    expect(verified).toHaveLength(1000)
    expect(verified.every(Boolean)).toBe(true)
  })

  test('an ECDSA signature of another message, key or form does not verify', async () => {
    const { kms } = await startRig()
    const KeyId = await newKey(kms)
    const { Signature } = await kms.send(signing(KeyId))
    const check = (more = {}) =>
      kms.send(
        new VerifyCommand({
          KeyId,
          Message: Buffer.from('message'),
          SigningAlgorithm: 'ECDSA_SHA_256',
          Signature,
          ...more,
        }),
      )
    expect(await check()).toMatchObject({ SignatureValid: true })
    for (const wrong of [
      { Message: Buffer.from('massage') },
      { KeyId: await newKey(kms) },
      { Signature: Buffer.from('junk') },
      { Signature: Buffer.alloc(64, 1) },
      { Signature: Buffer.concat([Buffer.from(Signature ?? []), Buffer.of(0)]) },
    ]) {
      expect(await failureOf(check(wrong))).toHaveProperty('name', 'KMSInvalidSignatureException')
    }
  })
})

describe('what Sign refuses', () => {
  test.each([
    [
      'a message of 4,097 bytes',
      { Message: Buffer.alloc(4097) },
      'ValidationException',
      'less than or equal to 4096',
    ],
    ['an empty message', { Message: Buffer.alloc(0) }, 'ValidationException', 'greater than or equal to 1'],
    [
      'a digest one byte short',
      { Message: Buffer.alloc(31), MessageType: 'DIGEST' },
      'ValidationException',
      'Digest is invalid length for algorithm ECDSA_SHA_256.',
    ],
    [
      'a digest one byte long',
      { Message: Buffer.alloc(33), MessageType: 'DIGEST' },
      'ValidationException',
      'Digest is invalid length',
    ],
    [
      'an unknown algorithm',
      { SigningAlgorithm: 'ES256' },
      'ValidationException',
      "Value 'ES256' at 'signingAlgorithm'",
    ],
    [
      'an unknown message type',
      { MessageType: 'HASH' },
      'ValidationException',
      "Value 'HASH' at 'messageType'",
    ],
    [
      'an algorithm for other keys',
      { SigningAlgorithm: 'RSASSA_PKCS1_V1_5_SHA_256' },
      'InvalidKeyUsageException',
      'Algorithm RSASSA_PKCS1_V1_5_SHA_256 is incompatible with key spec ECC_NIST_P256.',
    ],
    [
      'an algorithm for a longer curve',
      { SigningAlgorithm: 'ECDSA_SHA_384' },
      'InvalidKeyUsageException',
      'ECDSA_SHA_384',
    ],
    [
      'a dry run, with an error of its own',
      { DryRun: true },
      'DryRunOperationException',
      'would have succeeded',
    ],
    ['a malformed key id', { KeyId: 'fake-key-id' }, 'NotFoundException', "Invalid keyId 'fake-key-id'"],
    [
      'an unknown key',
      { KeyId: '00000000-0000-4000-8000-000000000000' },
      'NotFoundException',
      `Key '${arnOf('00000000-0000-4000-8000-000000000000')}' does not exist`,
    ],
    ['an unknown alias', { KeyId: 'alias/none' }, 'NotFoundException', 'is not found'],
    [
      'a key of another Region',
      { KeyId: arnOf('00000000-0000-4000-8000-000000000000').replace(REGION, 'us-east-1') },
      'NotFoundException',
      'Invalid arn us-east-1',
    ],
  ])('%s', async (_, more, name, message) => {
    const { kms } = await startRig()
    const failure = await failureOf(kms.send(signing(await newKey(kms), more)))
    expect(failure).toMatchObject({ name, message: expect.stringContaining(message) })
  })

  test('4,096 bytes are signed', async () => {
    const { kms } = await startRig()
    const signed = kms.send(signing(await newKey(kms), { Message: Buffer.alloc(4096) }))
    await expect(signed).resolves.toHaveProperty('Signature')
  })

  test('a key for encryption', async () => {
    const { kms } = await startRig()
    const KeyId = await newKey(kms, {})
    expect(await failureOf(kms.send(signing(KeyId)))).toMatchObject({
      name: 'InvalidKeyUsageException',
      message: `${arnOf(KeyId)} key usage is ENCRYPT_DECRYPT which is not valid for Sign.`,
    })
  })
})

describe('making keys', () => {
  test('the description says what was asked for', async () => {
    const now = Date.UTC(2026, 10, 22)
    const { kms } = await startRig({ clock: () => now })
    const KeyId = await newKey(kms, { ...P256, Description: 'signing' })
    const { KeyMetadata } = await kms.send(new DescribeKeyCommand({ KeyId }))
    expect(KeyMetadata).toEqual({
      AWSAccountId: ACCOUNT,
      Arn: arnOf(KeyId),
      KeyId,
      CreationDate: new Date(now),
      CustomerMasterKeySpec: 'ECC_NIST_P256',
      KeySpec: 'ECC_NIST_P256',
      KeyUsage: 'SIGN_VERIFY',
      KeyState: 'Enabled',
      Enabled: true,
      Description: 'signing',
      KeyManager: 'CUSTOMER',
      Origin: 'AWS_KMS',
      MultiRegion: false,
      SigningAlgorithms: ['ECDSA_SHA_256'],
    })
  })

  test.each([
    [{ KeySpec: 'ECC_NIST_P256' }, 'You must specify a KeyUsage value'],
    [
      { KeySpec: 'ECC_NIST_P256', KeyUsage: 'ENCRYPT_DECRYPT' },
      'KeyUsage ENCRYPT_DECRYPT is not compatible with KeySpec ECC_NIST_P256',
    ],
    [{ KeySpec: 'SYMMETRIC_DEFAULT', KeyUsage: 'SIGN_VERIFY' }, 'is not compatible'],
    [{ KeySpec: 'ECC_NIST_P521', KeyUsage: 'SIGN_VERIFY' }, "Value 'ECC_NIST_P521' at 'keySpec'"],
  ] satisfies [CreateKeyCommandInput, string][])('refuses %j', async (input, message) => {
    const { kms } = await startRig()
    const failure = await failureOf(kms.send(new CreateKeyCommand(input)))
    expect(failure).toMatchObject({ name: 'ValidationException', message: expect.stringContaining(message) })
  })

  test('a symmetric key has no public key', async () => {
    const { kms } = await startRig()
    const get = kms.send(new GetPublicKeyCommand({ KeyId: await newKey(kms, {}) }))
    expect(await failureOf(get)).toHaveProperty('name', 'UnsupportedOperationException')
  })
})

describe('key states', () => {
  const pendingRig = async () => {
    let now = Date.UTC(2026, 10, 22)
    const rig = await startRig({ clock: () => now })
    const KeyId = await newKey(rig.kms)
    const deletion = await rig.kms.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }))
    return { ...rig, KeyId, deletion, start: now, pass: (milliseconds: number) => (now += milliseconds) }
  }

  test('a disabled key neither signs nor shows its public half, until it is enabled', async () => {
    const { kms } = await startRig()
    const KeyId = await newKey(kms)
    await kms.send(new DisableKeyCommand({ KeyId }))
    const disabled = { name: 'DisabledException', message: `${arnOf(KeyId)} is disabled.` }
    expect(await failureOf(kms.send(signing(KeyId)))).toMatchObject(disabled)
    expect(await failureOf(kms.send(new GetPublicKeyCommand({ KeyId })))).toMatchObject(disabled)
    const { KeyMetadata } = await kms.send(new DescribeKeyCommand({ KeyId }))
    expect(KeyMetadata).toMatchObject({ KeyState: 'Disabled', Enabled: false })
    await kms.send(new EnableKeyCommand({ KeyId }))
    await kms.send(signing(KeyId))
  })

  test('a key pending deletion can be described and listed, and nothing else', async () => {
    const { kms, KeyId, deletion, start } = await pendingRig()
    const DeletionDate = new Date(start + 7 * DAY)
    expect(deletion).toMatchObject({ KeyId: arnOf(KeyId), DeletionDate, KeyState: 'PendingDeletion' })
    const { KeyMetadata } = await kms.send(new DescribeKeyCommand({ KeyId }))
    expect(KeyMetadata).toMatchObject({ KeyState: 'PendingDeletion', DeletionDate, Enabled: false })
    for (const call of [
      kms.send(signing(KeyId)),
      kms.send(new GetPublicKeyCommand({ KeyId })),
      kms.send(new EnableKeyCommand({ KeyId })),
      kms.send(new DisableKeyCommand({ KeyId })),
      kms.send(new ScheduleKeyDeletionCommand({ KeyId })),
      kms.send(new TagResourceCommand({ KeyId, Tags: [{ TagKey: 'a', TagValue: 'b' }] })),
      kms.send(new CreateAliasCommand({ AliasName: 'alias/a', TargetKeyId: KeyId })),
    ]) {
      expect(await failureOf(call)).toMatchObject({
        name: 'KMSInvalidStateException',
        message: `${arnOf(KeyId)} is pending deletion.`,
      })
    }
  })

  test('a deletion that is called off leaves the key disabled', async () => {
    const { kms, KeyId } = await pendingRig()
    await kms.send(new CancelKeyDeletionCommand({ KeyId }))
    const { KeyMetadata } = await kms.send(new DescribeKeyCommand({ KeyId }))
    expect(KeyMetadata).toMatchObject({ KeyState: 'Disabled' })
    expect(KeyMetadata).not.toHaveProperty('DeletionDate')
    const again = await failureOf(kms.send(new CancelKeyDeletionCommand({ KeyId })))
    expect(again).toMatchObject({
      name: 'KMSInvalidStateException',
      message: `${arnOf(KeyId)} is not pending deletion.`,
    })
  })

  test('a key is gone when its time is over', async () => {
    const { kms, KeyId, pass } = await pendingRig()
    pass(7 * DAY - 1)
    await kms.send(new DescribeKeyCommand({ KeyId }))
    pass(1)
    const failure = await failureOf(kms.send(new DescribeKeyCommand({ KeyId })))
    expect(failure).toHaveProperty('name', 'NotFoundException')
    expect((await kms.send(new ListKeysCommand())).Keys).toEqual([])
  })

  test.each([6, 31])('a wait of %d days is refused', async (PendingWindowInDays) => {
    const { kms } = await startRig()
    const schedule = new ScheduleKeyDeletionCommand({ KeyId: await newKey(kms), PendingWindowInDays })
    expect(await failureOf(kms.send(schedule))).toHaveProperty('name', 'ValidationException')
  })

  test('only symmetric keys rotate', async () => {
    const { kms } = await startRig()
    const rotate = kms.send(new EnableKeyRotationCommand({ KeyId: await newKey(kms) }))
    expect(await failureOf(rotate)).toHaveProperty('name', 'UnsupportedOperationException')
    const KeyId = await newKey(kms, {})
    await kms.send(new EnableKeyRotationCommand({ KeyId }))
    expect(await kms.send(new GetKeyRotationStatusCommand({ KeyId }))).toMatchObject({
      KeyRotationEnabled: true,
    })
  })
})

describe('tags, aliases and lists', () => {
  test('tags are set, replaced and taken away', async () => {
    const { kms } = await startRig()
    const KeyId = await newKey(kms, { ...P256, Tags: [{ TagKey: 'a', TagValue: '1' }] })
    const Tags = [
      { TagKey: 'a', TagValue: '2' },
      { TagKey: 'b', TagValue: '3' },
    ]
    await kms.send(new TagResourceCommand({ KeyId, Tags }))
    expect((await kms.send(new ListResourceTagsCommand({ KeyId }))).Tags).toEqual(Tags)
    await kms.send(new UntagResourceCommand({ KeyId, TagKeys: ['a'] }))
    expect((await kms.send(new ListResourceTagsCommand({ KeyId }))).Tags).toEqual([Tags[1]])
  })

  test.each([
    ['a key that begins with aws:', [{ TagKey: 'aws:x', TagValue: '' }]],
    ['an empty key', [{ TagKey: '', TagValue: '' }]],
    ['a long key', [{ TagKey: 'k'.repeat(129), TagValue: '' }]],
    ['a long value', [{ TagKey: 'k', TagValue: 'v'.repeat(257) }]],
    [
      'a key twice',
      [
        { TagKey: 'k', TagValue: '1' },
        { TagKey: 'k', TagValue: '2' },
      ],
    ],
  ])('a tag with %s is refused', async (_, Tags) => {
    const { kms } = await startRig()
    expect(await failureOf(kms.send(new CreateKeyCommand({ ...P256, Tags })))).toHaveProperty(
      'name',
      'TagException',
    )
  })

  test('an alias names a key for signing, can be moved, and names nothing that changes a key', async () => {
    const { kms } = await startRig()
    const AliasName = 'alias/signing'
    const [first, second] = [await newKey(kms), await newKey(kms)]
    await kms.send(new CreateAliasCommand({ AliasName, TargetKeyId: first }))
    expect((await kms.send(signing(AliasName))).KeyId).toBe(arnOf(first))
    await kms.send(new UpdateAliasCommand({ AliasName, TargetKeyId: second }))
    expect((await kms.send(signing(AliasName))).KeyId).toBe(arnOf(second))
    expect((await kms.send(new ListAliasesCommand({ KeyId: second }))).Aliases).toMatchObject([
      { AliasName, TargetKeyId: second, AliasArn: `arn:aws:kms:${REGION}:${ACCOUNT}:alias/signing` },
    ])
    expect((await kms.send(new ListAliasesCommand({ KeyId: first }))).Aliases).toEqual([])
    const disable = kms.send(new DisableKeyCommand({ KeyId: AliasName }))
    expect(await failureOf(disable)).toHaveProperty('name', 'NotFoundException')
    const twice = kms.send(new CreateAliasCommand({ AliasName, TargetKeyId: first }))
    expect(await failureOf(twice)).toHaveProperty('name', 'AlreadyExistsException')
    await kms.send(new DeleteAliasCommand({ AliasName }))
    expect(await failureOf(kms.send(signing(AliasName)))).toHaveProperty('name', 'NotFoundException')
  })

  test('keys are listed page by page', async () => {
    const { kms } = await startRig()
    const made = [await newKey(kms), await newKey(kms), await newKey(kms)]
    const first = await kms.send(new ListKeysCommand({ Limit: 2 }))
    expect(first).toMatchObject({ Truncated: true })
    const rest = await kms.send(new ListKeysCommand({ Limit: 2, Marker: first.NextMarker }))
    expect(rest.Truncated).toBe(false)
    const listed = [...(first.Keys ?? []), ...(rest.Keys ?? [])].map((key) => key.KeyId)
    expect(listed).toEqual(made.sort())
  })
})

test('keys outlive the endpoint in a file that only its owner may read', async () => {
  const dataFolder = await mkdtemp(join(tmpdir(), 'local-aws-'))
  onTestFinished(() => rm(dataFolder, { recursive: true }))
  const first: Rig = await startRig({ dataFolder })
  const keys = await Promise.all([newKey(first.kms), newKey(first.kms), newKey(first.kms, {})])
  const [KeyId] = keys
  const key = await publicKeyOf(first.kms, KeyId)
  await first.endpoint.close()
  const file = join(dataFolder, 'kms.json')
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  expect(JSON.parse(await readFile(file, 'utf8')).keys).toHaveLength(3)
  const { kms } = await startRig({ dataFolder })
  const { Signature } = await kms.send(signing(KeyId))
  expect(verify('sha256', Buffer.from('message'), key, Buffer.from(Signature ?? []))).toBe(true)
})
