import { createPublicKey } from 'node:crypto'
import { ListResourceTagsCommand } from '@aws-sdk/client-kms'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { KmsSigningKeyFactory } from '../../functions/adapters/kms-signing-key-factory.ts'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import type { SigningKeyFactory } from '../../functions/core/ports.ts'
import { KEY_TAGS, TOKEN_SIGNING } from '../../functions/key-tags.ts'
import { MemoryKeys } from '../support/fakes.ts'
import { type LocalAws, startLocalAws } from '../support/local-aws.ts'

let aws: LocalAws

beforeAll(async () => {
  aws = await startLocalAws()
})
afterAll(() => aws.close())

describe.each<[string, () => SigningKeyFactory]>([
  ['in memory', () => new MemoryKeys()],
  ['in KMS', () => new KmsSigningKeyFactory(aws.kms, 'test')],
])('a signing key factory %s', (_name, create) => {
  it('makes a new key of the ring each time, and tells its public half', async () => {
    const factory = create()
    const arns = [await factory.create('RS256'), await factory.create('ES256'), await factory.create('ES256')]
    const keys = await Promise.all(arns.map((arn) => factory.publicKey(arn)))
    expect(keys.map(({ kty, crv }) => [kty, crv])).toEqual([
      ['RSA', undefined],
      ['EC', 'P-256'],
      ['EC', 'P-256'],
    ])
    expect(keys[1]).not.toEqual(keys[2])
    for (const key of keys) {
      expect(key).not.toHaveProperty('d')
      expect(createPublicKey({ key: { ...key }, format: 'jwk' }).type).toBe('public')
    }
  })

  it('has a fault for a key that is not there', async () => {
    const arn = 'arn:aws:kms:eu-west-1:111111111111:key/00000000-0000-4000-8000-000000000000'
    await expect(create().publicKey(arn)).rejects.toThrow(DependencyUnavailable)
  })
})

describe('the signing key factory in KMS', () => {
  it('tags each key as ours, by purpose and stage', async () => {
    const KeyId = await new KmsSigningKeyFactory(aws.kms, 'test').create('ES256')
    const { Tags } = await aws.kms.send(new ListResourceTagsCommand({ KeyId }))
    expect(Object.fromEntries(Tags?.map(({ TagKey, TagValue }) => [TagKey, TagValue]) ?? [])).toMatchObject({
      [KEY_TAGS.purpose]: TOKEN_SIGNING,
      [KEY_TAGS.stage]: 'test',
    })
  })
})
