import type { JsonObject } from './aws-error.ts'
import { arnOf, type Cloud } from './cloud.ts'
import type { AccessRequest } from './iam.ts'
import type { RequestContext } from './iam-conditions.ts'
import { invalidCiphertext, keyIdIn } from './kms-ciphertext.ts'
import { newKeyId } from './kms-keys.ts'
import type { ResolvedKey } from './kms-resolve.ts'
import { asText, objectAt, objectsAt, textAt, textsAt } from './service.ts'

const ON_KEY = new Set([
  'CancelKeyDeletion',
  'DescribeKey',
  'DisableKey',
  'DisableKeyRotation',
  'EnableKey',
  'EnableKeyRotation',
  'Encrypt',
  'GenerateDataKeyPair',
  'GenerateDataKeyPairWithoutPlaintext',
  'GenerateMac',
  'GetKeyRotationStatus',
  'GetPublicKey',
  'ListResourceTags',
  'ScheduleKeyDeletion',
  'Sign',
  'TagResource',
  'UntagResource',
  'Verify',
  'VerifyMac',
])
/** Operations with an encryption context. */
const ENCRYPTS = new Set([
  'kms:Decrypt',
  'kms:Encrypt',
  'kms:GenerateDataKeyPair',
  'kms:GenerateDataKeyPairWithoutPlaintext',
])
const ON_ALIAS = new Set(['CreateAlias', 'DeleteAlias', 'UpdateAlias'])
const ON_ANYTHING = new Set(['ListAliases', 'ListKeys'])

/** Finds a key by id, ARN or alias. Throws `NotFoundException`. */
export type Resolve = (keyId: string) => ResolvedKey

/** What a KMS call needs. `undefined`: no such operation. Throws `NotFoundException` for a key id that names nothing. */
export function kmsAccess(
  cloud: Cloud,
  resolve: Resolve,
  operation: string,
  input: JsonObject,
): readonly AccessRequest[] | undefined {
  const action = `kms:${operation}`
  if (ON_KEY.has(operation)) return [keyAccess(action, resolve(textAt(input, 'KeyId') ?? ''), input)]
  if (operation === 'Decrypt') return [decryptionAccess(resolve, input)]
  if (ON_ALIAS.has(operation)) return aliasAccess(cloud, resolve, action, input)
  if (ON_ANYTHING.has(operation)) return [{ action, resource: '*', context: {} }]
  return operation === 'CreateKey' ? creationAccess(cloud, input) : undefined
}

/** Without a `KeyId`, it is the ciphertext that says whose permission is needed. */
function decryptionAccess(resolve: Resolve, input: JsonObject): AccessRequest {
  const keyId = textAt(input, 'KeyId') ?? keyIdIn(input)
  if (keyId === undefined) throw invalidCiphertext()
  return keyAccess('kms:Decrypt', resolve(keyId), input)
}

function keyAccess(
  action: string,
  { arn, key, aliases, requestAlias }: ResolvedKey,
  input: JsonObject,
): AccessRequest {
  const tags = Object.entries(key?.tags ?? {}).map(([name, value]) => [`aws:ResourceTag/${name}`, value])
  const context: RequestContext = {
    ...Object.fromEntries(tags),
    'kms:KeySpec': key?.spec,
    'kms:KeyUsage': key?.usage,
    'kms:KeyOrigin': 'AWS_KMS',
    'kms:MultiRegion': 'false',
    'kms:ResourceAliases': aliases.length > 0 ? aliases : undefined,
    'kms:RequestAlias': requestAlias,
    ...operationContext(action, input),
  }
  return { action, resource: arn, context }
}

function operationContext(action: string, input: JsonObject): RequestContext {
  if (action === 'kms:Sign' || action === 'kms:Verify') {
    return {
      'kms:SigningAlgorithm': textAt(input, 'SigningAlgorithm'),
      'kms:MessageType': textAt(input, 'MessageType') ?? 'RAW',
    }
  }
  if (action === 'kms:GenerateMac' || action === 'kms:VerifyMac')
    return { 'kms:MacAlgorithm': textAt(input, 'MacAlgorithm') }
  if (ENCRYPTS.has(action)) return encryptionContext(action, input)
  if (action === 'kms:ScheduleKeyDeletion') {
    return { 'kms:ScheduleKeyDeletionPendingWindowInDays': asText(input['PendingWindowInDays'] ?? 30) }
  }
  if (action === 'kms:UntagResource') return { 'aws:TagKeys': textsAt(input, 'TagKeys') }
  return tagContext(input)
}

function encryptionContext(action: string, input: JsonObject): RequestContext {
  const pairs = Object.entries(objectAt(input, 'EncryptionContext'))
  const isForPair = action.startsWith('kms:GenerateDataKeyPair')
  return {
    ...Object.fromEntries(pairs.map(([name, value]) => [`kms:EncryptionContext:${name}`, asText(value)])),
    'kms:EncryptionContextKeys': pairs.length > 0 ? pairs.map(([name]) => name) : undefined,
    'kms:EncryptionAlgorithm': isForPair
      ? undefined
      : (textAt(input, 'EncryptionAlgorithm') ?? 'SYMMETRIC_DEFAULT'),
    'kms:DataKeyPairSpec': isForPair ? textAt(input, 'KeyPairSpec') : undefined,
  }
}

/** The keys that a request's `Tags` give. */
function tagContext(input: JsonObject): RequestContext {
  const tags = objectsAt(input, 'Tags')
  if (tags.length === 0) return {}
  const values = tags.map((tag) => [`aws:RequestTag/${textAt(tag, 'TagKey')}`, textAt(tag, 'TagValue')])
  return { ...Object.fromEntries(values), 'aws:TagKeys': tags.map((tag) => textAt(tag, 'TagKey') ?? '') }
}

function creationAccess(cloud: Cloud, input: JsonObject): readonly AccessRequest[] {
  const context: RequestContext = {
    'kms:KeySpec': textAt(input, 'KeySpec') ?? textAt(input, 'CustomerMasterKeySpec') ?? 'SYMMETRIC_DEFAULT',
    'kms:KeyUsage': textAt(input, 'KeyUsage') ?? 'ENCRYPT_DECRYPT',
    'kms:KeyOrigin': textAt(input, 'Origin') ?? 'AWS_KMS',
    'kms:MultiRegion': asText(input['MultiRegion'] ?? false),
    'kms:BypassPolicyLockoutSafetyCheck': asText(input['BypassPolicyLockoutSafetyCheck'] ?? false),
    ...tagContext(input),
  }
  const create = { action: 'kms:CreateKey', resource: '*', context }
  if (objectsAt(input, 'Tags').length === 0) return [create]
  // The id that the key will have is not known to any policy: only a wildcard can allow its tags.
  const newKey = arnOf(cloud, 'kms', `key/${newKeyId()}`)
  return [create, { action: 'kms:TagResource', resource: newKey, context }]
}

/** An alias call needs its action on the alias and on each key it touches. */
function aliasAccess(
  cloud: Cloud,
  resolve: Resolve,
  action: string,
  input: JsonObject,
): readonly AccessRequest[] {
  const name = textAt(input, 'AliasName') ?? ''
  const target = textAt(input, 'TargetKeyId')
  const keys = [...(action === 'kms:CreateAlias' ? [] : [name]), ...(target === undefined ? [] : [target])]
  return [
    { action, resource: arnOf(cloud, 'kms', name), context: {} },
    ...keys.map((keyId) => keyAccess(action, resolve(keyId), {})),
  ]
}
