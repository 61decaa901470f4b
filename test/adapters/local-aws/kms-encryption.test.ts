import { createPrivateKey, createPublicKey } from 'node:crypto'
import {
  CreateKeyCommand,
  type CreateKeyCommandInput,
  DecryptCommand,
  DisableKeyCommand,
  EncryptCommand,
  GenerateDataKeyPairCommand,
  GenerateDataKeyPairWithoutPlaintextCommand,
  type KMSClient,
  ScheduleKeyDeletionCommand,
} from '@aws-sdk/client-kms'
import { describe, expect, test } from 'vitest'
import { ACCOUNT, clientsWith, failureOf, REGION, startRig } from './support.ts'

const CONTEXT = { stage: 'test', ring: 'one' }

async function newKey(kms: KMSClient, input: CreateKeyCommandInput = {}): Promise<string> {
  const { KeyMetadata } = await kms.send(new CreateKeyCommand(input))
  return KeyMetadata?.KeyId ?? ''
}

const newPair = (kms: KMSClient, KeyId: string, more = {}) =>
  kms.send(
    new GenerateDataKeyPairWithoutPlaintextCommand({
      KeyId,
      KeyPairSpec: 'ECC_NIST_P256',
      EncryptionContext: CONTEXT,
      ...more,
    }),
  )

describe('data key pairs', () => {
  test.each([
    ['ECC_NIST_P256', 'ec'],
    ['RSA_2048', 'rsa'],
  ] as const)('of %s come without the private half, which Decrypt gives in PKCS #8', async (spec, type) => {
    const { kms } = await startRig()
    const KeyId = await newKey(kms)
    const made = await newPair(kms, KeyId, { KeyPairSpec: spec })
    expect(made).toMatchObject({ KeyPairSpec: spec, KeyId: `arn:aws:kms:${REGION}:${ACCOUNT}:key/${KeyId}` })
    expect(made).not.toHaveProperty('PrivateKeyPlaintext')
    const { Plaintext = new Uint8Array() } = await kms.send(
      new DecryptCommand({ CiphertextBlob: made.PrivateKeyCiphertextBlob, EncryptionContext: CONTEXT }),
    )
    const privateKey = createPrivateKey({ key: Buffer.from(Plaintext), format: 'der', type: 'pkcs8' })
    expect(privateKey.asymmetricKeyType).toBe(type)
    const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
    expect(spki).toEqual(Buffer.from(made.PublicKey ?? []))
  })

  test('come with it where it is asked for, and are never the same', async () => {
    const { kms } = await startRig()
    const KeyId = await newKey(kms)
    const generate = () => kms.send(new GenerateDataKeyPairCommand({ KeyId, KeyPairSpec: 'ECC_NIST_P256' }))
    const [one, two] = [await generate(), await generate()]
    const { Plaintext } = await kms.send(new DecryptCommand({ CiphertextBlob: one.PrivateKeyCiphertextBlob }))
    expect(Plaintext).toEqual(one.PrivateKeyPlaintext)
    expect(two.PublicKey).not.toEqual(one.PublicKey)
  })

  test.each([
    [{ KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' }, 'InvalidKeyUsageException'],
    [{ KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' }, 'UnsupportedOperationException'],
  ] as const)('cannot be made under a key of %o', async (input, name) => {
    const { kms } = await startRig()
    expect(await failureOf(newPair(kms, await newKey(kms, input)))).toMatchObject({ name })
  })

  test('of a spec that there is not are refused', async () => {
    const { kms } = await startRig()
    const failure = await failureOf(newPair(kms, await newKey(kms), { KeyPairSpec: 'ECC_X' }))
    expect(failure).toMatchObject({ name: 'ValidationException' })
  })
})

describe('what a symmetric key encrypted', () => {
  async function encrypted() {
    const rig = await startRig()
    const KeyId = await newKey(rig.kms)
    const Plaintext = Buffer.from('secret')
    const { CiphertextBlob = new Uint8Array() } = await rig.kms.send(
      new EncryptCommand({ KeyId, Plaintext, EncryptionContext: CONTEXT }),
    )
    const decrypt = (more = {}) =>
      rig.kms.send(new DecryptCommand({ CiphertextBlob, EncryptionContext: CONTEXT, ...more }))
    return { ...rig, KeyId, CiphertextBlob, decrypt }
  }

  test('is decrypted with the same context, in whatever order', async () => {
    const { decrypt, KeyId } = await encrypted()
    const { Plaintext = new Uint8Array() } = await decrypt({
      KeyId,
      EncryptionContext: { ring: 'one', stage: 'test' },
    })
    expect(Buffer.from(Plaintext).toString()).toBe('secret')
  })

  test.each([
    ['another context', { EncryptionContext: { ...CONTEXT, ring: 'two' } }],
    ['a part of the context', { EncryptionContext: { stage: 'test' } }],
    ['no context', { EncryptionContext: undefined }],
    ['no ciphertext', { CiphertextBlob: Buffer.from('text') }],
  ])('is not decrypted with %s', async (_what, more) => {
    const { decrypt } = await encrypted()
    expect(await failureOf(decrypt(more))).toMatchObject({ name: 'InvalidCiphertextException' })
  })

  test('is not decrypted once a bit of it has changed, wherever', async () => {
    const { decrypt, CiphertextBlob } = await encrypted()
    for (let at = 0; at < CiphertextBlob.length; at++) {
      const changed = Buffer.from(CiphertextBlob)
      changed[at] = (changed[at] ?? 0) ^ 1
      // A key id that names no key is found out before.
      const { name } = await failureOf(decrypt({ CiphertextBlob: changed }))
      expect(name, `byte ${at}`).toBe(at >= 1 && at < 17 ? 'NotFoundException' : 'InvalidCiphertextException')
    }
  })

  test('is not decrypted with another key', async () => {
    const { decrypt, kms } = await encrypted()
    expect(await failureOf(decrypt({ KeyId: await newKey(kms) }))).toMatchObject({
      name: 'IncorrectKeyException',
    })
  })

  test.each([
    ['is disabled', DisableKeyCommand, 'DisabledException'],
    ['waits for its deletion', ScheduleKeyDeletionCommand, 'KMSInvalidStateException'],
  ])('is not decrypted while the key %s', async (_state, Command, name) => {
    const { decrypt, kms, KeyId } = await encrypted()
    await kms.send(new Command({ KeyId }) as DisableKeyCommand)
    expect(await failureOf(decrypt())).toMatchObject({ name })
  })

  test('has 1 to 4,096 bytes', async () => {
    const { kms, KeyId } = await encrypted()
    for (const length of [0, 4097]) {
      const failure = await failureOf(
        kms.send(new EncryptCommand({ KeyId, Plaintext: Buffer.alloc(length) })),
      )
      expect(failure).toMatchObject({ name: 'ValidationException' })
    }
  })

  test('is only tried in a dry run', async () => {
    const { decrypt } = await encrypted()
    expect(await failureOf(decrypt({ DryRun: true }))).toMatchObject({ name: 'DryRunOperationException' })
  })
})

describe('IAM', () => {
  const resource = `arn:aws:kms:${REGION}:${ACCOUNT}:key/*`

  test('knows the encryption context and the spec of the pair', async () => {
    const rig = await startRig()
    const KeyId = await newKey(rig.kms)
    const { kms } = clientsWith(
      rig,
      'maker',
      {
        Effect: 'Allow',
        Action: 'kms:GenerateDataKeyPairWithoutPlaintext',
        Resource: resource,
        Condition: {
          StringEquals: { 'kms:EncryptionContext:ring': 'one', 'kms:DataKeyPairSpec': 'ECC_NIST_P256' },
        },
      },
      {
        Effect: 'Allow',
        Action: 'kms:Decrypt',
        Resource: resource,
        Condition: {
          StringEquals: { 'kms:EncryptionContext:ring': 'one' },
          'ForAllValues:StringEquals': { 'kms:EncryptionContextKeys': ['ring', 'stage'] },
        },
      },
    )
    const made = await newPair(kms, KeyId)
    const decrypt = (EncryptionContext: Record<string, string> | undefined) =>
      kms.send(new DecryptCommand({ CiphertextBlob: made.PrivateKeyCiphertextBlob, EncryptionContext }))
    await decrypt(CONTEXT)
    const denied = [
      newPair(kms, KeyId, { KeyPairSpec: 'RSA_2048' }),
      newPair(kms, KeyId, { EncryptionContext: { ...CONTEXT, ring: 'two' } }),
      newPair(kms, KeyId, { EncryptionContext: undefined }),
      decrypt({ ...CONTEXT, ring: 'two' }),
      decrypt({ ...CONTEXT, more: 'x' }),
      decrypt(undefined),
    ]
    for (const call of denied) expect(await failureOf(call)).toMatchObject({ name: 'AccessDeniedException' })
  })

  test('checks Decrypt on the key that the ciphertext names, where the request names none', async () => {
    const rig = await startRig()
    const [mine, other] = [await newKey(rig.kms), await newKey(rig.kms)]
    const { kms } = clientsWith(rig, 'reader', {
      Effect: 'Allow',
      Action: 'kms:Decrypt',
      Resource: `arn:aws:kms:${REGION}:${ACCOUNT}:key/${mine}`,
    })
    for (const [KeyId, name] of [
      [mine, undefined],
      [other, 'AccessDeniedException'],
    ] as const) {
      const { CiphertextBlob } = await rig.kms.send(
        new EncryptCommand({ KeyId, Plaintext: Buffer.from('text') }),
      )
      const call = kms.send(new DecryptCommand({ CiphertextBlob }))
      if (name === undefined) await call
      else expect(await failureOf(call)).toMatchObject({ name })
    }
  })
})

describe('a key that a template declares', () => {
  test('has the id that follows from its name, and is made once', async () => {
    const { endpoint, kms } = await startRig()
    const KeyId = '00000000-0000-4000-8000-000000000000'
    await endpoint.kms.provide(KeyId, { Description: 'wraps' }, true)
    const made = await newPair(kms, KeyId)
    await endpoint.kms.provide(KeyId, { Description: 'wraps' }, true)
    const { KeyId: usedKey } = await kms.send(
      new DecryptCommand({ CiphertextBlob: made.PrivateKeyCiphertextBlob, EncryptionContext: CONTEXT }),
    )
    expect(usedKey).toContain(KeyId)
  })
})
