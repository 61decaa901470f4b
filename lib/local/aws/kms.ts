import { AwsError, constraintViolation, type JsonObject } from './aws-error.ts'
import type { Cloud } from './cloud.ts'
import type { AccessRequest } from './iam.ts'
import { kmsAccess } from './kms-access.ts'
import { decrypt, encrypt, encryptionContextOf, invalidCiphertext, keyIdIn } from './kms-ciphertext.ts'
import { isPairSpec, newPair, PAIR_SPECS } from './kms-data-pairs.ts'
import { type KeyRecord, KeyStore, newKeyId, newSecret } from './kms-keys.ts'
import { isMacAlgorithm, isSameMac, MAC_ALGORITHMS, type MacAlgorithm, macOf } from './kms-mac.ts'
import { existing, keyArn, type ResolvedKey, resolveKey } from './kms-resolve.ts'
import { digestOf, signDigest, verifyDigest } from './kms-signature.ts'
import {
  ALGORITHMS,
  DIGEST_BYTES,
  isKeySpec,
  isSigningAlgorithm,
  type KeySpec,
  type KeyUsage,
  type SigningAlgorithm,
  SPECS,
  specOf,
} from './kms-specs.ts'
import { withTags } from './kms-tags.ts'
import { type AwsService, type ServiceCall, textAt, textsAt } from './service.ts'

const MOST_RAW_BYTES = 4096
const DAY_MILLISECONDS = 24 * 60 * 60 * 1000
const ALIAS_NAME = /^alias\/[a-zA-Z0-9/_-]+$/

type Operation = (input: JsonObject) => Promise<JsonObject> | JsonObject

/** KMS, as strict as AWS about key states, usages, algorithms and sizes. Key policies and grants are not evaluated. */
export class Kms implements AwsService {
  readonly unsigned = new Set<string>()
  readonly accessDenied = { type: 'AccessDeniedException', status: 400 }
  readonly unknownCaller = { type: 'UnrecognizedClientException', status: 400 }
  readonly #cloud: Cloud
  readonly #store: KeyStore
  readonly #operations: ReadonlyMap<string, Operation> = new Map<string, Operation>([
    ['CancelKeyDeletion', (input) => this.#cancelKeyDeletion(input)],
    ['CreateAlias', (input) => this.#createAlias(input)],
    ['CreateKey', (input) => this.#createKey(input)],
    ['Decrypt', (input) => this.#decrypt(input)],
    ['DeleteAlias', (input) => this.#deleteAlias(input)],
    ['DescribeKey', (input) => ({ KeyMetadata: this.#metadata(this.#key(input, 'aliases too')) })],
    ['DisableKey', (input) => this.#setState(input, 'Disabled')],
    ['DisableKeyRotation', (input) => this.#setRotation(input, false)],
    ['EnableKey', (input) => this.#setState(input, 'Enabled')],
    ['EnableKeyRotation', (input) => this.#setRotation(input, true)],
    ['Encrypt', (input) => this.#encrypt(input)],
    ['GenerateDataKeyPair', (input) => this.#generateDataKeyPair(input, 'with plaintext')],
    ['GenerateDataKeyPairWithoutPlaintext', (input) => this.#generateDataKeyPair(input, 'without plaintext')],
    ['GenerateMac', (input) => this.#generateMac(input)],
    ['GetKeyRotationStatus', (input) => ({ KeyRotationEnabled: this.#rotatable(input).rotated })],
    ['GetPublicKey', (input) => this.#getPublicKey(input)],
    ['ListAliases', (input) => this.#listAliases(input)],
    ['ListKeys', (input) => this.#listKeys(input)],
    ['ListResourceTags', (input) => this.#listResourceTags(input)],
    ['ScheduleKeyDeletion', (input) => this.#scheduleKeyDeletion(input)],
    ['Sign', (input) => this.#sign(input)],
    ['TagResource', (input) => this.#tagResource(input)],
    ['UntagResource', (input) => this.#untagResource(input)],
    ['UpdateAlias', (input) => this.#updateAlias(input)],
    ['Verify', (input) => this.#verify(input)],
    ['VerifyMac', (input) => this.#verifyMac(input)],
  ])

  private constructor(cloud: Cloud, store: KeyStore) {
    this.#cloud = cloud
    this.#store = store
  }

  /** Opens the keys kept in the file (mode 0600), or an empty memory. */
  static async open(cloud: Cloud, file?: string): Promise<Kms> {
    return new Kms(cloud, await KeyStore.open(file))
  }

  access(operation: string, input: JsonObject): readonly AccessRequest[] | undefined {
    return kmsAccess(this.#cloud, (keyId) => this.#resolve(keyId), operation, input)
  }

  async call({ operation, input }: ServiceCall): Promise<JsonObject> {
    const carryOut = this.#operations.get(operation)
    if (carryOut === undefined)
      throw new AwsError('UnknownOperationException', `KMS ${operation} is not offered`)
    return carryOut(input)
  }

  /**
   * Makes the key that a template declares, with the id that is known for it, unless it has been kept from an earlier run:
   * `input` as for CreateKey. Throws {@link AwsError} for a spec or usage that there is not.
   */
  async provide(id: string, input: JsonObject, rotated: boolean): Promise<void> {
    const kept = this.#store.key(id)
    const key = kept ?? (await this.#newKey(id, input))
    await this.#store.saveKey({ ...key, rotated, tags: withTags({}, input) })
  }

  async #createKey(input: JsonObject): Promise<JsonObject> {
    const key = await this.#newKey(newKeyId(), input)
    await this.#store.saveKey(key)
    return { KeyMetadata: this.#metadata(key) }
  }

  async #newKey(id: string, input: JsonObject): Promise<KeyRecord> {
    const { spec, usage } = specAndUsage(input)
    return {
      id,
      spec,
      usage,
      description: textAt(input, 'Description') ?? '',
      createdAt: this.#cloud.clock(),
      state: 'Enabled',
      rotated: false,
      tags: withTags({}, input),
      secret: await newSecret(spec),
    }
  }

  #encrypt(input: JsonObject): JsonObject {
    const plaintext = Buffer.from(textAt(input, 'Plaintext') ?? '', 'base64')
    if (plaintext.length < 1 || plaintext.length > MOST_RAW_BYTES)
      throw invalid(`Plaintext must have 1 to ${MOST_RAW_BYTES} bytes`)
    const key = this.#encryptionKey(input, 'Encrypt', this.#usable(input))
    const CiphertextBlob = encrypt(key, plaintext, encryptionContextOf(input))
    return { CiphertextBlob, KeyId: this.#arn(key), EncryptionAlgorithm: 'SYMMETRIC_DEFAULT' }
  }

  /** The ciphertext says which key it needs. If the request names one too, it must be that one. */
  #decrypt(input: JsonObject): JsonObject {
    const id = keyIdIn(input)
    if (id === undefined) throw invalidCiphertext()
    const named = textAt(input, 'KeyId') === undefined ? undefined : this.#usable(input)
    if (named !== undefined) this.#encryptionKey(input, 'Decrypt', named)
    if (named !== undefined && named.id !== id) {
      throw new AwsError(
        'IncorrectKeyException',
        'The key ID in the request does not identify a CMK that can perform this operation.',
      )
    }
    const key = this.#encryptionKey(input, 'Decrypt', named ?? this.#usable({ ...input, KeyId: id }))
    const plaintext = decrypt(key.secret, input, encryptionContextOf(input))
    return {
      KeyId: this.#arn(key),
      Plaintext: plaintext.toString('base64'),
      EncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
    }
  }

  async #generateDataKeyPair(
    input: JsonObject,
    kind: 'with plaintext' | 'without plaintext',
  ): Promise<JsonObject> {
    const spec = textAt(input, 'KeyPairSpec') ?? ''
    if (!isPairSpec(spec)) throw invalid(notInSet(spec, 'keyPairSpec', PAIR_SPECS))
    const key = this.#encryptionKey(input, 'GenerateDataKeyPair', this.#usable(input))
    const { publicKey, privateKey } = await newPair(spec)
    return {
      KeyId: this.#arn(key),
      KeyPairSpec: spec,
      PublicKey: publicKey.toString('base64'),
      PrivateKeyCiphertextBlob: encrypt(key, privateKey, encryptionContextOf(input)),
      ...(kind === 'with plaintext' && { PrivateKeyPlaintext: privateKey.toString('base64') }),
    }
  }

  #encryptionKey(input: JsonObject, operation: string, key: KeyRecord): KeyRecord {
    const algorithm = textAt(input, 'EncryptionAlgorithm') ?? 'SYMMETRIC_DEFAULT'
    if (key.usage !== 'ENCRYPT_DECRYPT' || algorithm !== 'SYMMETRIC_DEFAULT')
      throw wrongUsage(`${this.#arn(key)} key usage is ${key.usage} which is not valid for ${operation}.`)
    // AWS's asymmetric encryption has its own algorithms, sizes and no context: nothing here uses it.
    if (key.spec !== 'SYMMETRIC_DEFAULT')
      throw unsupported(`${operation} with a key of spec ${key.spec} is not offered.`)
    refuseDryRun(input)
    return key
  }

  #getPublicKey(input: JsonObject): JsonObject {
    const key = this.#usable(input)
    if (specOf(key.spec).secretBytes !== undefined) {
      throw unsupported(`${this.#arn(key)} key spec is ${key.spec} which is not valid for GetPublicKey.`)
    }
    return {
      KeyId: this.#arn(key),
      PublicKey: this.#store.halves(key).spki,
      CustomerMasterKeySpec: key.spec,
      KeySpec: key.spec,
      KeyUsage: key.usage,
      ...algorithmsOf(key),
    }
  }

  #sign(input: JsonObject): JsonObject {
    const { algorithm, digest } = signatureRequest(input)
    const key = this.#signingKey(input, 'Sign', algorithm)
    const signature = signDigest(key.spec, this.#store.halves(key).privateKey, algorithm, digest)
    return { KeyId: this.#arn(key), Signature: signature.toString('base64'), SigningAlgorithm: algorithm }
  }

  #verify(input: JsonObject): JsonObject {
    const { algorithm, digest } = signatureRequest(input)
    const key = this.#signingKey(input, 'Verify', algorithm)
    const signature = Buffer.from(textAt(input, 'Signature') ?? '', 'base64')
    const valid = verifyDigest(key.spec, this.#store.halves(key).publicKey, algorithm, { digest, signature })
    if (!valid) throw new AwsError('KMSInvalidSignatureException', '')
    return { KeyId: this.#arn(key), SignatureValid: true, SigningAlgorithm: algorithm }
  }

  #signingKey(input: JsonObject, operation: string, algorithm: SigningAlgorithm): KeyRecord {
    const key = this.#usable(input)
    if (key.usage !== 'SIGN_VERIFY') {
      throw wrongUsage(`${this.#arn(key)} key usage is ${key.usage} which is not valid for ${operation}.`)
    }
    if (!specOf(key.spec).algorithms.includes(algorithm)) {
      throw wrongUsage(`Algorithm ${algorithm} is incompatible with key spec ${key.spec}.`)
    }
    refuseDryRun(input)
    return key
  }

  #generateMac(input: JsonObject): JsonObject {
    const { key, algorithm, mac } = this.#mac(input, 'GenerateMac')
    return { KeyId: this.#arn(key), Mac: mac.toString('base64'), MacAlgorithm: algorithm }
  }

  #verifyMac(input: JsonObject): JsonObject {
    const { key, algorithm, mac } = this.#mac(input, 'VerifyMac')
    if (!isSameMac(mac, Buffer.from(textAt(input, 'Mac') ?? '', 'base64')))
      throw new AwsError('KMSInvalidMacException', '')
    return { KeyId: this.#arn(key), MacValid: true, MacAlgorithm: algorithm }
  }

  #mac(
    input: JsonObject,
    operation: string,
  ): { readonly key: KeyRecord; readonly algorithm: MacAlgorithm; readonly mac: Buffer } {
    const algorithm = textAt(input, 'MacAlgorithm') ?? ''
    if (!isMacAlgorithm(algorithm))
      throw invalid(notInSet(algorithm, 'macAlgorithm', Object.keys(MAC_ALGORITHMS)))
    const message = rawMessage(input)
    const key = this.#usable(input)
    if (key.usage !== 'GENERATE_VERIFY_MAC')
      throw wrongUsage(`${this.#arn(key)} key usage is ${key.usage} which is not valid for ${operation}.`)
    if (specOf(key.spec).mac !== algorithm)
      throw wrongUsage(`Algorithm ${algorithm} is incompatible with key spec ${key.spec}.`)
    refuseDryRun(input)
    return { key, algorithm, mac: macOf(key.secret, algorithm, message) }
  }

  async #setState(input: JsonObject, state: 'Enabled' | 'Disabled'): Promise<JsonObject> {
    await this.#store.saveKey({ ...this.#changeable(input), state })
    return {}
  }

  async #scheduleKeyDeletion(input: JsonObject): Promise<JsonObject> {
    const days = input['PendingWindowInDays'] ?? 30
    if (typeof days !== 'number' || !Number.isInteger(days) || days < 7 || days > 30) {
      throw invalid('PendingWindowInDays must be between 7 and 30')
    }
    const key = this.#changeable(input)
    const deletionAt = this.#cloud.clock() + days * DAY_MILLISECONDS
    await this.#store.saveKey({ ...key, state: 'PendingDeletion', deletionAt })
    return {
      KeyId: this.#arn(key),
      DeletionDate: deletionAt / 1000,
      KeyState: 'PendingDeletion',
      PendingWindowInDays: days,
    }
  }

  async #cancelKeyDeletion(input: JsonObject): Promise<JsonObject> {
    const key = this.#key(input)
    if (key.state !== 'PendingDeletion') throw wrongState(`${this.#arn(key)} is not pending deletion.`)
    // AWS leaves the key disabled: somebody has to want it again.
    await this.#store.saveKey({ ...key, state: 'Disabled', deletionAt: undefined })
    return { KeyId: this.#arn(key) }
  }

  async #tagResource(input: JsonObject): Promise<JsonObject> {
    const key = this.#changeable(input)
    await this.#store.saveKey({ ...key, tags: withTags(key.tags, input) })
    return {}
  }

  async #untagResource(input: JsonObject): Promise<JsonObject> {
    const key = this.#changeable(input)
    const removed = new Set(textsAt(input, 'TagKeys'))
    const tags = Object.fromEntries(Object.entries(key.tags).filter(([name]) => !removed.has(name)))
    await this.#store.saveKey({ ...key, tags })
    return {}
  }

  #listResourceTags(input: JsonObject): JsonObject {
    const tags = Object.entries(this.#key(input).tags)
    return { Tags: tags.map(([TagKey, TagValue]) => ({ TagKey, TagValue })), Truncated: false }
  }

  /** In pages of `Limit`, 100 if it is not given; the marker is the last id of the page before. */
  #listKeys(input: JsonObject): JsonObject {
    const limit = input['Limit'] ?? 100
    if (typeof limit !== 'number' || limit < 1 || limit > 1000)
      throw invalid('Limit must be between 1 and 1000')
    const marker = textAt(input, 'Marker') ?? ''
    const ids = this.#store.keys.map((key) => key.id).filter((id) => id > marker && this.#resolve(id).key)
    const page = ids.sort().slice(0, limit)
    const Keys = page.map((KeyId) => ({ KeyId, KeyArn: keyArn(this.#cloud, KeyId) }))
    return ids.length > limit
      ? { Keys, Truncated: true, NextMarker: page.at(-1) }
      : { Keys, Truncated: false }
  }

  async #createAlias(input: JsonObject): Promise<JsonObject> {
    const name = aliasName(input)
    const keyId = this.#changeable(input, 'TargetKeyId').id
    if (this.#store.alias(name) !== undefined) {
      throw new AwsError('AlreadyExistsException', `An alias with the name ${name} already exists`)
    }
    const now = this.#cloud.clock()
    await this.#store.saveAlias({ name, keyId, createdAt: now, updatedAt: now })
    return {}
  }

  async #updateAlias(input: JsonObject): Promise<JsonObject> {
    const name = aliasName(input)
    const alias = this.#store.alias(name)
    const current = existing(this.#resolve(name))
    const next = this.#changeable(input, 'TargetKeyId')
    if (current.usage !== next.usage) throw invalid(`Alias ${name} points to a key of usage ${current.usage}`)
    const now = this.#cloud.clock()
    await this.#store.saveAlias({ name, keyId: next.id, createdAt: alias?.createdAt ?? now, updatedAt: now })
    return {}
  }

  async #deleteAlias(input: JsonObject): Promise<JsonObject> {
    const name = aliasName(input)
    this.#resolve(name)
    await this.#store.removeAlias(name)
    return {}
  }

  #listAliases(input: JsonObject): JsonObject {
    const keyId = textAt(input, 'KeyId')
    const only = keyId === undefined ? undefined : existing(this.#resolve(keyId)).id
    const Aliases = this.#store.aliases
      .filter((alias) => only === undefined || alias.keyId === only)
      .map(({ name, keyId: TargetKeyId, createdAt, updatedAt }) => ({
        AliasName: name,
        AliasArn: `arn:aws:kms:${this.#cloud.region}:${this.#cloud.account}:${name}`,
        TargetKeyId,
        CreationDate: createdAt / 1000,
        LastUpdatedDate: updatedAt / 1000,
      }))
    return { Aliases, Truncated: false }
  }

  async #setRotation(input: JsonObject, rotated: boolean): Promise<JsonObject> {
    const key = this.#rotatable(input)
    this.#refuseUnusable(key)
    await this.#store.saveKey({ ...key, rotated })
    return {}
  }

  #rotatable(input: JsonObject): KeyRecord {
    const key = this.#key(input)
    if (key.spec === 'SYMMETRIC_DEFAULT') return key
    throw unsupported(`${this.#arn(key)} key spec is ${key.spec}: only symmetric keys rotate.`)
  }

  #resolve(keyId: string): ResolvedKey {
    return resolveKey(this.#cloud, this.#store, keyId)
  }

  #key(input: JsonObject, aliases?: 'aliases too', member = 'KeyId'): KeyRecord {
    const keyId = textAt(input, member) ?? ''
    const resolved = this.#resolve(keyId)
    if (aliases === undefined && resolved.requestAlias !== undefined) {
      throw new AwsError('NotFoundException', `Invalid keyId '${keyId}'`)
    }
    return existing(resolved)
  }

  /** A key for a cryptographic operation: enabled, and perhaps named by an alias. */
  #usable(input: JsonObject): KeyRecord {
    const key = this.#key(input, 'aliases too')
    this.#refuseUnusable(key)
    return key
  }

  /** A key for an operation that changes it: anything but pending deletion. */
  #changeable(input: JsonObject, member = 'KeyId'): KeyRecord {
    const key = this.#key(input, undefined, member)
    if (key.state === 'PendingDeletion') throw wrongState(`${this.#arn(key)} is pending deletion.`)
    return key
  }

  #refuseUnusable(key: KeyRecord): void {
    if (key.state === 'Disabled') throw new AwsError('DisabledException', `${this.#arn(key)} is disabled.`)
    if (key.state === 'PendingDeletion') throw wrongState(`${this.#arn(key)} is pending deletion.`)
  }

  #arn(key: KeyRecord): string {
    return keyArn(this.#cloud, key.id)
  }

  #metadata(key: KeyRecord): JsonObject {
    return {
      AWSAccountId: this.#cloud.account,
      Arn: this.#arn(key),
      KeyId: key.id,
      CreationDate: key.createdAt / 1000,
      CustomerMasterKeySpec: key.spec,
      KeySpec: key.spec,
      KeyUsage: key.usage,
      KeyState: key.state,
      Enabled: key.state === 'Enabled',
      Description: key.description,
      KeyManager: 'CUSTOMER',
      Origin: 'AWS_KMS',
      MultiRegion: false,
      ...(key.deletionAt === undefined ? {} : { DeletionDate: key.deletionAt / 1000 }),
      ...algorithmsOf(key),
    }
  }
}

function algorithmsOf({ spec, usage }: KeyRecord): JsonObject {
  if (usage === 'SIGN_VERIFY') return { SigningAlgorithms: specOf(spec).algorithms }
  if (usage === 'GENERATE_VERIFY_MAC') return { MacAlgorithms: [specOf(spec).mac ?? ''] }
  if (usage === 'KEY_AGREEMENT') return { KeyAgreementAlgorithms: ['ECDH'] }
  const rsa = ['RSAES_OAEP_SHA_1', 'RSAES_OAEP_SHA_256']
  return { EncryptionAlgorithms: spec === 'SYMMETRIC_DEFAULT' ? ['SYMMETRIC_DEFAULT'] : rsa }
}

function specAndUsage(input: JsonObject): { readonly spec: KeySpec; readonly usage: KeyUsage } {
  const spec = textAt(input, 'KeySpec') ?? textAt(input, 'CustomerMasterKeySpec') ?? 'SYMMETRIC_DEFAULT'
  if (!isKeySpec(spec)) throw invalid(notInSet(spec, 'keySpec', Object.keys(SPECS)))
  const given = textAt(input, 'KeyUsage')
  if (given === undefined && spec !== 'SYMMETRIC_DEFAULT') {
    throw invalid('You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.')
  }
  const usage = specOf(spec).usages.find((allowed) => allowed === (given ?? 'ENCRYPT_DECRYPT'))
  if (usage === undefined) throw invalid(`KeyUsage ${given} is not compatible with KeySpec ${spec}`)
  return { spec, usage }
}

/** What Sign and Verify have in common: the algorithm, and the digest to which it is applied. */
function signatureRequest(input: JsonObject): {
  readonly algorithm: SigningAlgorithm
  readonly digest: Buffer
} {
  const algorithm = textAt(input, 'SigningAlgorithm') ?? ''
  if (!isSigningAlgorithm(algorithm)) {
    throw invalid(notInSet(algorithm, 'signingAlgorithm', Object.keys(ALGORITHMS)))
  }
  const message = rawMessage(input)
  const type = textAt(input, 'MessageType') ?? 'RAW'
  if (type === 'RAW') return { algorithm, digest: digestOf(algorithm, message) }
  if (type !== 'DIGEST') throw invalid(notInSet(type, 'messageType', ['RAW', 'DIGEST']))
  if (message.length !== DIGEST_BYTES[ALGORITHMS[algorithm].hash]) {
    throw invalid(`Digest is invalid length for algorithm ${algorithm}.`)
  }
  return { algorithm, digest: message }
}

function rawMessage(input: JsonObject): Buffer {
  const message = Buffer.from(textAt(input, 'Message') ?? '', 'base64')
  if (message.length >= 1 && message.length <= MOST_RAW_BYTES) return message
  const bound = message.length < 1 ? 'greater than or equal to 1' : `less than or equal to ${MOST_RAW_BYTES}`
  // AWS does not repeat blobs.
  const where = "1 validation error detected: Value at 'message' failed to satisfy constraint"
  throw invalid(`${where}: Member must have length ${bound}`)
}

function refuseDryRun(input: JsonObject): void {
  if (input['DryRun'] !== true) return
  throw new AwsError(
    'DryRunOperationException',
    'The request would have succeeded, but the DryRun option is set.',
  )
}

function aliasName(input: JsonObject): string {
  const name = textAt(input, 'AliasName') ?? ''
  if (name.startsWith('alias/aws/')) throw new AwsError('NotAuthorizedException', 'alias/aws/ is reserved')
  if (!ALIAS_NAME.test(name)) throw new AwsError('InvalidAliasNameException', `Invalid alias name '${name}'`)
  return name
}

function notInSet(value: string, member: string, allowed: readonly string[]): string {
  return constraintViolation(value, member, `Member must satisfy enum value set: [${allowed.join(', ')}]`)
}

function invalid(message: string): AwsError {
  return new AwsError('ValidationException', message)
}

function wrongUsage(message: string): AwsError {
  return new AwsError('InvalidKeyUsageException', message)
}

function wrongState(message: string): AwsError {
  return new AwsError('KMSInvalidStateException', message)
}

function unsupported(message: string): AwsError {
  return new AwsError('UnsupportedOperationException', message)
}
