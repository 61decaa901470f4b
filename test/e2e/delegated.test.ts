import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb'
import { DisableKeyCommand, EnableKeyCommand } from '@aws-sdk/client-kms'
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { DelegatedKey } from '../../functions/core/key-lifecycle.ts'
import type { AwsCall } from '../../lib/local/aws/call-handling.ts'
import type { Fault } from '../../lib/local/aws/faults.ts'
import { type Synthesis, synthesize } from '../../lib/local/synthesize.ts'
import { LEDGER, PAYMENTS, startTestCloud, type TestCloud } from '../support/cloud.ts'

let folder: string
let synthesis: Synthesis
let broker: TestCloud
const calls: AwsCall[] = []

/** The demo policy, with the ledger's tokens signed by delegated keys. */
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'token-broker-delegated-'))
  cpSync('policy', folder, { recursive: true })
  const targets = readFileSync('policy/targets.yaml', 'utf8')
  writeFileSync(
    join(folder, 'targets.yaml'),
    targets.replace('algorithm: ES256', 'algorithm: ES256, signing: delegated'),
  )
  synthesis = synthesize({ policyFolder: folder })
  broker = await startTestCloud({
    assemblyFolder: synthesis.assemblyFolder,
    issuers: synthesis.policy.issuers,
    onCall: (call) => void calls.push(call),
  })
})
afterAll(async () => {
  await broker.close()
  synthesis.dispose()
  rmSync(folder, { recursive: true, force: true })
})
afterEach(() => {
  broker.cloud.aws.faults.clear()
  expect(broker.defects).toEqual([])
})

const exchange = async (audience = LEDGER) =>
  broker.exchange(await broker.sign({ preset: 'aws-outbound' }), { audience })
/** An environment that has nothing in memory. */
const restart = () => broker.cloud.functions.kill('ExchangeFunction')

const item = { pk: { S: 'ring#delegated-ES256' } }
async function readRing() {
  const { Item } = await broker.dynamoDb.send(
    new GetItemCommand({ TableName: broker.table('SigningKeys'), Key: item, ConsistentRead: true }),
  )
  return { version: Item?.['version']?.N ?? '', manifest: Item?.['manifest']?.S ?? '' }
}
async function writeRing({ version, manifest }: { version: string; manifest: string }) {
  const Item = { ...item, version: { N: version }, manifest: { S: manifest } }
  await broker.dynamoDb.send(new PutItemCommand({ TableName: broker.table('SigningKeys'), Item }))
}

/** What becomes of an exchange in a fresh environment after somebody has changed the active delegated key. */
async function statusAfter(change: (key: DelegatedKey, others: readonly DelegatedKey[]) => object) {
  const ring = await readRing()
  const { keys } = JSON.parse(ring.manifest) as { keys: DelegatedKey[] }
  const changed = keys.map((key) => (key.state === 'active' ? change(key, keys) : key))
  await writeRing({ ...ring, manifest: JSON.stringify({ keys: changed }) })
  restart()
  calls.length = 0
  const { status } = await exchange()
  expect(calls.map(({ operation }) => operation)).not.toContain('Sign')
  await writeRing(ring)
  restart()
  return status
}

describe('a target whose tokens are signed by delegated keys', () => {
  it('gets tokens that verify against the live keys, without a KMS call once the key is there', async () => {
    expect((await exchange()).status).toBe(200)
    calls.length = 0
    for (let i = 0; i < 3; i++) {
      const { status, body } = await exchange()
      expect(status).toBe(200)
      const keys = createRemoteJWKSet(new URL(`${broker.url}/.well-known/jwks.json`))
      const token = body['access_token'] ?? ''
      const { protectedHeader } = await jwtVerify(token, keys, { issuer: broker.url, audience: LEDGER })
      expect(protectedHeader).toMatchObject({ alg: 'ES256', typ: 'at+jwt' })
    }
    expect(calls.filter(({ service }) => service === 'kms')).toEqual([])
  })

  it('has them vouched for in the key set, by a KMS key that is in it too', async () => {
    const { body } = await exchange()
    const { kid } = decodeProtectedHeader(body['access_token'] ?? '')
    const url = new URL(`${broker.url}/.well-known/jwks.json`)
    const { keys } = (await (await fetch(url)).json()) as {
      keys: { kid: string; x?: string; attestation?: string }[]
    }
    const used = keys.find((key) => key.kid === kid)
    const { payload, protectedHeader } = await jwtVerify(used?.attestation ?? '', createRemoteJWKSet(url), {
      issuer: broker.url,
      typ: 'delegated-key+jwt',
      subject: String(kid),
      requiredClaims: ['exp', 'iat', 'nbf'],
    })
    expect(payload['cnf']).toMatchObject({ jwk: { kid, x: used?.x } })
    expect(keys.find((key) => key.kid === protectedHeader.kid)?.attestation).toBeUndefined()
  })

  it('leaves the others with KMS', async () => {
    await exchange(PAYMENTS)
    calls.length = 0
    const { status } = await broker.exchange(await broker.sign({ preset: 'kubernetes' }), {
      audience: PAYMENTS,
    })
    expect(status).toBe(200)
    expect(calls.map(({ operation }) => operation)).toContain('Sign')
  })

  it.each<[string, Fault]>([
    ['is denied', { kind: 'error', code: 'AccessDeniedException' }],
    ['is throttled', { kind: 'throttle' }],
    ['finds another key', { kind: 'error', code: 'IncorrectKeyException' }],
  ])('answers 503 while Decrypt %s, and never has KMS sign instead', async (_how, fault) => {
    restart()
    broker.cloud.aws.faults.set({ operation: 'kms:Decrypt', ...fault })
    calls.length = 0
    expect((await exchange()).status).toBe(503)
    expect(calls.map(({ operation }) => operation)).not.toContain('Sign')
    broker.cloud.aws.faults.clear()
    expect((await exchange()).status).toBe(200)
  })

  it.each<[string, (key: DelegatedKey, all: readonly DelegatedKey[]) => object]>([
    [
      'the public half',
      (key, all) => ({ ...key, publicJwk: all.find(({ kid }) => kid !== key.kid)?.publicJwk }),
    ],
    [
      'the private half',
      (key, all) => ({ ...key, wrapped: all.find(({ kid }) => kid !== key.kid)?.wrapped }),
    ],
    [
      'the attestation',
      (key, all) => ({ ...key, attestation: all.find(({ kid }) => kid !== key.kid)?.attestation }),
    ],
    ['the ciphertext', (key) => ({ ...key, wrapped: `${(key.wrapped ?? '').slice(0, -8)}AAAAAAA=` })],
    ['the private half by nothing', (key) => ({ ...key, wrapped: undefined })],
    [
      'both by a key in KMS',
      (key) => ({ ...key, wrapped: undefined, attestation: undefined, keyArn: 'arn' }),
    ],
  ])('answers 503 after somebody has replaced %s in the manifest', async (_what, change) => {
    expect(await statusAfter(change)).toBe(503)
    expect((await exchange()).status).toBe(200)
  })

  it('signs on with the key in memory while the wrapping key is disabled, and a new environment does not', async () => {
    expect((await exchange()).status).toBe(200)
    const KeyId = broker.cloud.plan.keys.find(({ logicalId }) => logicalId.includes('WrappingKey'))?.id
    await broker.kms.send(new DisableKeyCommand({ KeyId }))
    expect((await exchange()).status).toBe(200)
    restart()
    expect((await exchange()).status).toBe(503)
    await broker.kms.send(new EnableKeyCommand({ KeyId }))
    expect((await exchange()).status).toBe(200)
  })

  it('needs every permission that the functions have', () => {
    const unused = broker.cloud
      .unusedPermissions()
      .filter(({ action, principal }) => action.startsWith('kms:') && /Exchange/.test(principal))
    expect(unused).toEqual([])
  })

  it('shows no private half in a log, nor what KMS encrypted of it', async () => {
    const { manifest } = await readRing()
    const { keys } = JSON.parse(manifest) as { keys: DelegatedKey[] }
    const lines = broker.lines.join('\n')
    expect(keys.length).toBeGreaterThan(1)
    for (const { wrapped = '' } of keys) expect(lines).not.toContain(wrapped.slice(0, 40))
  })
})
