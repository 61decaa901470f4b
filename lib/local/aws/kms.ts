import { AwsError, constraintViolation, type JsonObject } from './aws-error.ts'
import type { Cloud } from './cloud.ts'
import type { AccessRequest } from './iam.ts'
import { kmsAccess } from './kms-access.ts'
import { type KeyRecord, KeyStore, newKeyId, newSecret } from './kms-keys.ts'
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

/** A KMS key as a template declares it. */
export interface TemplateKey {
  readonly spec: string
  readonly usage: string
  readonly description: string
  readonly tags: Readonly<Record<string, string>>
}

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
    ['DeleteAlias', (input) => this.#deleteAlias(input)],
    ['DescribeKey', (input) => ({ KeyMetadata: this.#metadata(this.#key(input, 'aliases too')) })],
    ['DisableKey', (input) => this.#setState(input, 'Disabled')],
    ['DisableKeyRotation', (input) => this.#setRotation(input, false)],
    ['EnableKey', (input) => this.#setState(input, 'Enabled')],
    ['EnableKeyRotation', (input) => this.#setRotation(input, true)],
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
  ])

  private constructor(cloud: Cloud, store: KeyStore) {
    this.#cloud = cloud
    this.#store = store
  }

  /** Opens the keys kept in the file (mode 0600), or an empty memory. */
  static async open(cloud: Cloud, file?: string): Promise<Kms> {
    return new Kms(cloud, await KeyStore.open(file))
  }

  /** Makes the key of a template under the id that the template's references have, or takes over the one that is kept. */
  async createTemplateKey(id: string, definition: TemplateKey): Promise<void> {
    if (this.#store.key(id) !== undefined) return
    const { spec, usage } = specAndUsage({ KeySpec: definition.spec, KeyUsage: definition.usage })
    await this.#store.saveKey({
      id,
      spec,
      usage,
      description: definition.description,
      createdAt: this.#cloud.clock(),
      state: 'Enabled',
      rotated: false,
      tags: definition.tags,
      secret: await newSecret(spec),
    })
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

  async #createKey(input: JsonObject): Promise<JsonObject> {
    const { spec, usage } = specAndUsage(input)
    const key: KeyRecord = {
      id: newKeyId(),
      spec,
      usage,
      description: textAt(input, 'Description') ?? '',
      createdAt: this.#cloud.clock(),
      state: 'Enabled',
      rotated: false,
      tags: withTags({}, input),
      secret: await newSecret(spec),
    }
    await this.#store.saveKey(key)
    return { KeyMetadata: this.#metadata(key) }
  }

  #getPublicKey(input: JsonObject): JsonObject {
    const key = this.#usable(input)
    if (key.spec === 'SYMMETRIC_DEFAULT') {
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
    if (input['DryRun'] === true) {
      throw new AwsError(
        'DryRunOperationException',
        'The request would have succeeded, but the DryRun option is set.',
      )
    }
    return key
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
  const message = Buffer.from(textAt(input, 'Message') ?? '', 'base64')
  if (message.length < 1 || message.length > MOST_RAW_BYTES) {
    const bound =
      message.length < 1 ? 'greater than or equal to 1' : `less than or equal to ${MOST_RAW_BYTES}`
    // AWS does not repeat blobs.
    const where = "1 validation error detected: Value at 'message' failed to satisfy constraint"
    throw invalid(`${where}: Member must have length ${bound}`)
  }
  const type = textAt(input, 'MessageType') ?? 'RAW'
  if (type === 'RAW') return { algorithm, digest: digestOf(algorithm, message) }
  if (type !== 'DIGEST') throw invalid(notInSet(type, 'messageType', ['RAW', 'DIGEST']))
  if (message.length !== DIGEST_BYTES[ALGORITHMS[algorithm].hash]) {
    throw invalid(`Digest is invalid length for algorithm ${algorithm}.`)
  }
  return { algorithm, digest: message }
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
