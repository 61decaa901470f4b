import { createHmac } from 'node:crypto'
import {
  CreateKeyCommand,
  type CreateKeyCommandInput,
  DescribeKeyCommand,
  EnableKeyRotationCommand,
  EncryptCommand,
  GenerateMacCommand,
  GetPublicKeyCommand,
  type KeySpec,
  type KMSClient,
  type MacAlgorithmSpec,
  SignCommand,
  VerifyMacCommand,
} from '@aws-sdk/client-kms'
import { describe, expect, test } from 'vitest'
import { ACCOUNT, clientsWith, failureOf, REGION, startRig } from './support.ts'

const Message = Buffer.from('slot 1')
const MacAlgorithm = 'HMAC_SHA_256'

async function newKey(kms: KMSClient, input: CreateKeyCommandInput = {}): Promise<string> {
  const usage = { KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' } as const
  const { KeyMetadata } = await kms.send(new CreateKeyCommand({ ...usage, ...input }))
  return KeyMetadata?.KeyId ?? ''
}

describe('a MAC', () => {
  test.each([
    ['HMAC_224', 'HMAC_SHA_224', 28],
    ['HMAC_256', 'HMAC_SHA_256', 32],
    ['HMAC_384', 'HMAC_SHA_384', 48],
    ['HMAC_512', 'HMAC_SHA_512', 64],
  ] as [KeySpec, MacAlgorithmSpec, number][])(
    'by a key of %s is of %s, always the same, and verified',
    async (spec, algorithm, bytes) => {
      const { kms } = await startRig()
      const KeyId = await newKey(kms, { KeySpec: spec })
      const asked = { KeyId, MacAlgorithm: algorithm, Message }
      const made = await kms.send(new GenerateMacCommand(asked))
      expect(made).toMatchObject({
        MacAlgorithm: algorithm,
        KeyId: `arn:aws:kms:${REGION}:${ACCOUNT}:key/${KeyId}`,
      })
      expect(made.Mac).toHaveLength(bytes)
      expect((await kms.send(new GenerateMacCommand(asked))).Mac).toEqual(made.Mac)
      expect(await kms.send(new VerifyMacCommand({ ...asked, Mac: made.Mac }))).toMatchObject({
        MacValid: true,
      })
      const { KeyMetadata } = await kms.send(new DescribeKeyCommand({ KeyId }))
      expect(KeyMetadata).toMatchObject({ KeyUsage: 'GENERATE_VERIFY_MAC', MacAlgorithms: [algorithm] })
    },
  )

  test('is of the key and the message, and cannot be made without the key', async () => {
    const { kms } = await startRig()
    const [one, other] = [await newKey(kms), await newKey(kms)]
    const macs = await Promise.all(
      [
        { KeyId: one, Message },
        { KeyId: other, Message },
        { KeyId: one, Message: Buffer.from('slot 2') },
      ].map((asked) => kms.send(new GenerateMacCommand({ ...asked, MacAlgorithm }))),
    )
    const texts = macs.map(({ Mac }) => Buffer.from(Mac ?? []).toString('hex'))
    expect(new Set([...texts, createHmac('sha256', '').update(Message).digest('hex')]).size).toBe(4)
  })

  test.each([
    ['another MAC', {}, { Mac: Buffer.alloc(32) }],
    ['a shorter MAC', {}, { Mac: Buffer.alloc(8) }],
    ['another message', { Message: Buffer.from('slot 2') }, {}],
  ])('does not verify with %s', async (_, changes, more) => {
    const { kms } = await startRig()
    const KeyId = await newKey(kms)
    const { Mac } = await kms.send(new GenerateMacCommand({ KeyId, MacAlgorithm, Message }))
    const verification = kms.send(
      new VerifyMacCommand({ KeyId, MacAlgorithm, Message, Mac, ...changes, ...more }),
    )
    expect(await failureOf(verification)).toMatchObject({ name: 'KMSInvalidMacException' })
  })

  test.each([
    ['an algorithm of another spec', { MacAlgorithm: 'HMAC_SHA_512' }, 'InvalidKeyUsageException'],
    ['an algorithm that there is not', { MacAlgorithm: 'HMAC_MD5' }, 'ValidationException'],
    ['no message', { Message: Buffer.alloc(0) }, 'ValidationException'],
    ['more than 4096 bytes', { Message: Buffer.alloc(4097) }, 'ValidationException'],
    ['a dry run', { DryRun: true }, 'DryRunOperationException'],
  ])('is refused for %s', async (_, changes, name) => {
    const { kms } = await startRig()
    const KeyId = await newKey(kms)
    const command = new GenerateMacCommand({ KeyId, MacAlgorithm, Message, ...(changes as object) })
    expect(await failureOf(kms.send(command))).toMatchObject({ name })
  })

  test('is made by keys for MACs only, and those do nothing else', async () => {
    const { kms } = await startRig()
    const forMacs = await newKey(kms)
    const forTexts = await newKey(kms, { KeySpec: 'SYMMETRIC_DEFAULT', KeyUsage: 'ENCRYPT_DECRYPT' })
    const KeyId = forMacs
    const failures = [
      kms.send(new GenerateMacCommand({ KeyId: forTexts, MacAlgorithm, Message })),
      kms.send(new EncryptCommand({ KeyId, Plaintext: Message })),
      kms.send(new SignCommand({ KeyId, SigningAlgorithm: 'ECDSA_SHA_256', Message })),
    ]
    for (const failure of failures)
      expect(await failureOf(failure)).toMatchObject({ name: 'InvalidKeyUsageException' })
    for (const command of [new GetPublicKeyCommand({ KeyId }), new EnableKeyRotationCommand({ KeyId })])
      expect(await failureOf(kms.send(command as GetPublicKeyCommand))).toMatchObject({
        name: 'UnsupportedOperationException',
      })
  })

  test('needs its own usage named when the key is made', async () => {
    const { kms } = await startRig()
    for (const KeyUsage of [undefined, 'ENCRYPT_DECRYPT', 'SIGN_VERIFY'] as const)
      expect(await failureOf(newKey(kms, { KeyUsage }))).toMatchObject({ name: 'ValidationException' })
  })
})

describe('IAM', () => {
  test('allows a MAC by its algorithm', async () => {
    const rig = await startRig()
    const KeyId = await newKey(rig.kms)
    const larger = await newKey(rig.kms, { KeySpec: 'HMAC_512' })
    const { kms } = clientsWith(rig, 'maker', {
      Effect: 'Allow',
      Action: 'kms:GenerateMac',
      Resource: `arn:aws:kms:${REGION}:${ACCOUNT}:key/*`,
      Condition: { StringEquals: { 'kms:MacAlgorithm': MacAlgorithm } },
    })
    const { Mac } = await kms.send(new GenerateMacCommand({ KeyId, MacAlgorithm, Message }))
    const denied = [
      kms.send(new GenerateMacCommand({ KeyId: larger, MacAlgorithm: 'HMAC_SHA_512', Message })),
      kms.send(new VerifyMacCommand({ KeyId, MacAlgorithm, Message, Mac })),
    ]
    for (const call of denied) expect(await failureOf(call)).toMatchObject({ name: 'AccessDeniedException' })
  })
})
