import { AwsError } from './aws-error.ts'
import { arnOf, type Cloud } from './cloud.ts'
import type { KeyRecord, KeyStore } from './kms-keys.ts'

/** A key that a request names. `key` is `undefined` where the name is well formed but no such key exists. */
export interface ResolvedKey {
  readonly arn: string
  readonly key: KeyRecord | undefined
  readonly aliases: readonly string[]
  /** The alias by which the request named it. */
  readonly requestAlias: string | undefined
}

const KEY_ID = /^(?:mrk-[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/

/** Finds what a `KeyId` means: a key id, a key ARN, an alias name or an alias ARN. Throws `NotFoundException`. */
export function resolveKey(cloud: Cloud, store: KeyStore, keyId: string): ResolvedKey {
  const name = localName(cloud, keyId)
  const alias = name.startsWith('alias/') ? name : undefined
  const id = alias === undefined ? name : store.alias(alias)?.keyId
  if (id === undefined) throw notFound(`Alias ${arnOf(cloud, 'kms', name)} is not found.`)
  if (!KEY_ID.test(id)) throw notFound(`Invalid keyId '${id}'`)
  const found = store.key(id)
  // A key is gone when its waiting time is over, whether or not somebody has tidied up.
  const key = found?.deletionAt !== undefined && found.deletionAt <= cloud.clock() ? undefined : found
  const aliases = store.aliases.filter((record) => record.keyId === id).map((record) => record.name)
  return { arn: keyArn(cloud, id), key, aliases, requestAlias: alias }
}

/** The key itself. Throws `NotFoundException` if there is none. */
export function existing({ arn, key }: ResolvedKey): KeyRecord {
  if (key === undefined) throw notFound(`Key '${arn}' does not exist`)
  return key
}

export function keyArn(cloud: Cloud, id: string): string {
  return arnOf(cloud, 'kms', `key/${id}`)
}

function localName(cloud: Cloud, keyId: string): string {
  if (!keyId.startsWith('arn:')) return keyId
  const [, , service, region = '', account, resource = ''] = keyId.split(':')
  if (service !== 'kms' || region !== cloud.region) throw notFound(`Invalid arn ${region}`)
  if (account !== cloud.account) throw notFound(`Key '${keyId}' does not exist`)
  return resource.startsWith('key/') ? resource.slice('key/'.length) : resource
}

function notFound(message: string): AwsError {
  return new AwsError('NotFoundException', message)
}
