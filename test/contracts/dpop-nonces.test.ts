import {
  CreateKeyCommand,
  DisableKeyCommand,
  type GenerateMacCommand,
  type KMSClient,
} from '@aws-sdk/client-kms'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { KmsDpopNonces } from '../../functions/adapters/kms-dpop-nonces.ts'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import { LIMITS } from '../../functions/core/limits.ts'
import type { DpopNonces } from '../../functions/core/ports.ts'
import { MemoryDpopNonces } from '../support/fakes.ts'
import { type LocalAws, startLocalAws } from '../support/local-aws.ts'

const SLOT = LIMITS.dpopNonceSeconds
const NOW = 1_800_000_000
const ISSUER = 'https://tokens.example.com'
let aws: LocalAws
let keyArn = ''

async function newKey(): Promise<string> {
  const input = { KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' } as const
  const { KeyMetadata } = await aws.kms.send(new CreateKeyCommand(input))
  return KeyMetadata?.Arn ?? ''
}

beforeAll(async () => {
  aws = await startLocalAws([])
  keyArn = await newKey()
})
afterAll(() => aws.close())
afterEach(() => aws.endpoint.faults.clear())

const kmsNonces = (issuer = ISSUER, key = keyArn) => new KmsDpopNonces(aws.kms, key, issuer)

/** The nonce that is handed out at a time. */
async function firstAt(nonces: DpopNonces, now: number): Promise<string> {
  const [first] = await nonces.at(now)
  return first
}

describe.each<[string, () => DpopNonces]>([
  ['in memory', () => new MemoryDpopNonces()],
  ['by KMS', () => kmsNonces()],
])('nonces %s', (_name, create) => {
  it('are the same in every environment', async () => {
    expect(await create().at(NOW)).toEqual(await create().at(NOW))
  })

  it('are new in every slot, and text that a header can carry', async () => {
    const nonces = create()
    const made = await Promise.all([0, 1, 2, 3].map((at) => firstAt(nonces, NOW + at * SLOT)))
    expect(new Set(made).size).toBe(4)
    for (const nonce of made) expect(nonce).toMatch(/^[\w-]{32}$/)
  })

  it('are accepted for one slot longer than they are handed out, and no longer', async () => {
    const nonces = create()
    const nonce = await firstAt(nonces, NOW)
    expect(await nonces.at(NOW + 2 * SLOT - 1)).toContain(nonce)
    expect(await nonces.at(NOW + 2 * SLOT)).not.toContain(nonce)
  })

  it('are accepted where the clock is behind that of whoever handed them out, by the skew and no more', async () => {
    const nonces = create()
    const next = await firstAt(nonces, NOW + SLOT)
    expect(await nonces.at(NOW + SLOT - LIMITS.clockSkewSeconds)).toContain(next)
    expect(await nonces.at(NOW + SLOT - LIMITS.clockSkewSeconds - 1)).not.toContain(next)
  })
})

describe('nonces by KMS', () => {
  it('are of this issuer and this key', async () => {
    const all = await Promise.all([
      kmsNonces().at(NOW),
      kmsNonces('https://other.example.com').at(NOW),
      kmsNonces(ISSUER, await newKey()).at(NOW),
    ])
    expect(new Set(all.flat()).size).toBe(6)
  })

  it('cost one call for each slot, however many ask', async () => {
    let calls = 0
    const send = (command: GenerateMacCommand) => {
      calls++
      return aws.kms.send(command)
    }
    const nonces = new KmsDpopNonces({ send } as unknown as KMSClient, keyArn, ISSUER)
    await Promise.all(Array.from({ length: 20 }, () => nonces.at(NOW)))
    await nonces.at(NOW + 1)
    expect(calls).toBe(2)
    await nonces.at(NOW + SLOT - 40)
    expect(calls).toBe(3)
    await nonces.at(NOW + SLOT)
    expect(calls).toBe(3)
  })

  it('are a fault where KMS cannot be asked, and asked for again afterwards', async () => {
    const nonces = kmsNonces()
    aws.endpoint.faults.set({ operation: 'kms:GenerateMac', kind: 'reset' })
    await expect(nonces.at(NOW)).rejects.toThrow(DependencyUnavailable)
    aws.endpoint.faults.clear()
    expect(await nonces.at(NOW)).toHaveLength(2)
  })

  it('are a fault where the key is disabled', async () => {
    const key = await newKey()
    await aws.kms.send(new DisableKeyCommand({ KeyId: key }))
    await expect(kmsNonces(ISSUER, key).at(NOW)).rejects.toThrow(DependencyUnavailable)
  })
})
