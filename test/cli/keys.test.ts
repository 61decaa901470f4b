import { GetItemCommand } from '@aws-sdk/client-dynamodb'
import { DescribeKeyCommand, DisableKeyCommand, EnableKeyCommand } from '@aws-sdk/client-kms'
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { DynamoDbKeyManifests } from '../../functions/adapters/dynamodb-key-manifests.ts'
import type { KeyManifest, ManifestKey } from '../../functions/core/key-lifecycle.ts'
import { LEDGER, PAYMENTS, RECEIPTS, startTestCloud, type TestCloud } from '../support/cloud.ts'
import { arnOf } from '../support/fakes.ts'
import { MemoryTerminal } from './memory-terminal.ts'
import { runAsOperator } from './operator.ts'

const HOUR = 3600
const NOT_REACHED = new TypeError('fetch failed', {
  cause: Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }),
})
const MINUTE = 60

let broker: TestCloud
/** Epoch seconds, as the command line sees it. */
let time: number

beforeEach(async () => {
  broker = await startTestCloud()
  time = Math.floor(Date.now() / 1000)
})
afterEach(async () => {
  await broker.close()
  expect(broker.defects).toEqual([])
})

const run = (args: readonly string[], terminal = new MemoryTerminal()) =>
  runAsOperator(broker, args, { terminal, time })

async function manifestOf(ring: 'RS256' | 'ES256'): Promise<KeyManifest> {
  const manifest = await new DynamoDbKeyManifests(broker.dynamoDb, broker.table('SigningKeys')).read(ring)
  if (manifest === undefined) throw new Error(`no ring ${ring}`)
  return manifest
}

async function keyIn(ring: 'RS256' | 'ES256', state: ManifestKey['state']): Promise<ManifestKey> {
  const key = (await manifestOf(ring)).keys.find((each) => each.state === state)
  if (key === undefined) throw new Error(`no ${state} key in ${ring}`)
  return key
}

const exchange = async (preset = 'kubernetes', audience = PAYMENTS) =>
  broker.exchange(await broker.sign({ preset }), { audience })
const kidOf = (token = '') => decodeProtectedHeader(token).kid
const onward = (token = '') => broker.exchange(token, { audience: RECEIPTS })

async function publishedKids(): Promise<readonly string[]> {
  const set = (await (await fetch(`${broker.url}/.well-known/jwks.json`)).json()) as {
    keys: { kid: string }[]
  }
  return set.keys.map(({ kid }) => kid)
}

/** What the audit trail is told of revocations, in the functions' logs. */
function auditedRevocations(): readonly Record<string, unknown>[] {
  return broker.lines.flatMap((line) => {
    const { audit } = line.includes('"revocation"') ? (JSON.parse(line) as { audit?: object }) : {}
    return audit === undefined ? [] : [{ ...audit }]
  })
}

/** Environments use their manifest for a minute; new ones read it. */
const renewEnvironments = () => broker.cloud.functions.kill('ExchangeFunction')

async function cutOff(kid: string) {
  const get = new GetItemCommand({ TableName: broker.table('Revocations'), Key: { pk: { S: `key#${kid}` } } })
  return (await broker.dynamoDb.send(get)).Item
}

async function kmsStateOf(key: ManifestKey): Promise<string | undefined> {
  const { KeyMetadata } = await broker.kms.send(new DescribeKeyCommand({ KeyId: arnOf(key) }))
  return KeyMetadata?.KeyState
}

describe('keys list', () => {
  it('shows each key with its state, its age, and what happens to it when', async () => {
    const [active, next] = [await keyIn('RS256', 'active'), await keyIn('RS256', 'published')]
    time = active.since + 25 * HOUR
    const { code, out } = await run(['keys', 'list'])
    expect(code).toBe(0)
    const lineOf = (kid: string) => out.split('\n').find((line) => line.includes(kid)) ?? ''
    expect(lineOf(active.kid)).toMatch(/active +\S+ \S+ +1 d 1 h +yes +retire \d{4}-\d\d-\d\d/)
    expect(lineOf(next.kid)).toMatch(/published +.* +yes +activate \d{4}-\d\d-\d\d/)
    expect(out).toContain('holds 4 keys')
  })

  it('gives machines the same in epoch seconds, with the ARNs', async () => {
    const active = await keyIn('ES256', 'active')
    const { out } = await run(['keys', 'list', '--json'])
    const listed = JSON.parse(out) as {
      stage: string
      region: string
      rings: { ring: string; keys: unknown[] }[]
    }
    expect(listed).toMatchObject({ stage: 'dev', region: 'eu-west-1' })
    expect(listed.rings.map(({ ring, keys }) => [ring, keys.length])).toEqual([
      ['RS256', 2],
      ['ES256', 2],
    ])
    expect(listed.rings[1]?.keys[0]).toEqual({
      kid: active.kid,
      state: 'active',
      since: active.since,
      in_jwks: true,
      key_arn: arnOf(active),
      next: { step: 'retire', at: active.since + 720 * HOUR },
    })
  })

  it('says where it looked when there is no such stage', async () => {
    const { code, err } = await run(['keys', 'list', '--stage', 'nowhere'])
    expect(code).toBe(1)
    expect(err).toMatch(/there is no stack token-broker-nowhere-\w+ in eu-west-1/)
    expect(err).toContain('--region')
  })
})

describe('keys rotate', () => {
  it.each([
    [['keys', 'rotate', '--yes'], 'add --now'],
    [['keys', 'rotate', '--now', '--ring', 'HS256', '--yes'], 'there is RS256, ES256, delegated-ES256, all'],
    [['keys', 'rotate', '--now', 'RS256', '--yes'], 'takes no arguments'],
  ])('refuses %j as a usage error', async (args, message) => {
    const { code, err } = await run(args)
    expect(code).toBe(2)
    expect(err).toContain(message)
  })

  it('refuses while a verifier may not have the next key, unless that is accepted, and says for how long', async () => {
    const before = await manifestOf('RS256')
    const { code, err } = await run(['keys', 'rotate', '--now', '--ring', 'RS256', '--yes'])
    expect(code).toBe(1)
    expect(err).toMatch(/old key set would refuse new tokens for up to 2 h 6 min/)
    expect(err).toContain('--before-caches-expire')
    expect(await manifestOf('RS256')).toEqual(before)
    const accepted = await run([
      'keys',
      'rotate',
      '--now',
      '--ring',
      'RS256',
      '--before-caches-expire',
      '--yes',
    ])
    expect(accepted.code).toBe(0)
    expect(accepted.err).toMatch(/verifiers: one with an old key set refuses new tokens/)
    expect((await keyIn('RS256', 'active')).kid).not.toBe(before.keys[0]?.kid)
  })

  it('shows its plan and changes nothing off a terminal without --yes, nor after any answer but yes', async () => {
    time += 3 * HOUR
    const before = await manifestOf('RS256')
    const args = ['keys', 'rotate', '--now', '--ring', 'RS256']
    const unattended = await run(args)
    expect(unattended.code).toBe(1)
    expect(unattended.err).toContain(`${before.keys[1]?.kid} becomes active`)
    expect(unattended.err).toContain('add --yes')
    const declined = new MemoryTerminal({ answers: ['y'] })
    expect((await run(args, declined)).code).toBe(1)
    expect(declined.questions).toEqual([expect.stringContaining('Rotate in dev?')])
    expect(await manifestOf('RS256')).toEqual(before)
  })

  it('hands over in one write: new tokens are of the next key, and the old ones verify and go onward', async () => {
    time += 3 * HOUR
    const [active, next] = [await keyIn('RS256', 'active'), await keyIn('RS256', 'published')]
    const old = (await exchange()).body['access_token']
    expect(kidOf(old)).toBe(active.kid)
    const terminal = new MemoryTerminal({ answers: ['yes'] })
    const { code, err, out } = await run(['keys', 'rotate', '--now', '--ring', 'RS256'], terminal)
    expect({ code, err }).toEqual({ code: 0, err: expect.stringContaining('none notices') })
    expect(out).toBe(`RS256: ${next.kid} signs from now on.\n`)
    expect(await manifestOf('RS256')).toMatchObject({
      keys: [
        { kid: active.kid, state: 'retired', since: time },
        { kid: next.kid, state: 'active', since: time },
      ],
    })
    renewEnvironments()
    const { body } = await exchange()
    expect(kidOf(body['access_token'])).toBe(next.kid)
    const keys = createRemoteJWKSet(new URL(`${broker.url}/.well-known/jwks.json`))
    for (const token of [old, body['access_token']])
      await expect(jwtVerify(token ?? '', keys, { issuer: broker.url })).resolves.toBeDefined()
    expect((await onward(old)).status).toBe(200)
    expect((await run(['keys', 'reconcile'])).code).toBe(0)
    expect((await manifestOf('RS256')).keys.map(({ state }) => state)).toEqual([
      'retired',
      'active',
      'published',
    ])
  })

  it('rotates both rings, and tells machines which keys sign', async () => {
    time += 3 * HOUR
    const [rsa, ec] = [await keyIn('RS256', 'published'), await keyIn('ES256', 'published')]
    const { code, out } = await run(['keys', 'rotate', '--now', '--yes', '--json'])
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({
      rotated: [
        { ring: 'RS256', active: rsa.kid, published_until: time + 3 * HOUR + 6 * MINUTE + 30 },
        { ring: 'ES256', active: ec.kid },
      ],
    })
  })

  it('refuses a key that does not prove itself in KMS, and a ring without a next key, saying what to do', async () => {
    time += 3 * HOUR
    const next = await keyIn('RS256', 'published')
    await broker.kms.send(new DisableKeyCommand({ KeyId: arnOf(next) }))
    const args = ['keys', 'rotate', '--now', '--ring', 'RS256', '--yes']
    const refused = await run(args)
    expect(refused).toMatchObject({
      code: 1,
      err: expect.stringContaining(`KMS refuses to sign with key ${next.kid}`),
    })
    expect((await keyIn('RS256', 'published')).kid).toBe(next.kid)
    await broker.kms.send(new EnableKeyCommand({ KeyId: arnOf(next) }))
    expect((await run(args)).code).toBe(0)
    const none = await run(args)
    expect(none).toMatchObject({ code: 1, err: expect.stringContaining('has no next key to hand over to') })
    expect((await run(['keys', 'reconcile'])).code).toBe(0)
    expect((await keyIn('RS256', 'published')).kid).not.toBe(next.kid)
  })
})

describe('keys revoke', () => {
  const REASON = ['--reason', 'INC-7: a role was stolen']

  it.each([
    [['keys', 'revoke', '--yes', ...REASON], 'takes one kid'],
    [['keys', 'revoke', 'a', 'b', '--yes', ...REASON], 'takes one kid'],
    [['keys', 'revoke', 'a', '--yes'], '--reason is missing'],
    [['keys', 'revoke', 'a', '--yes', '--reason', ' '], '--reason is missing'],
    [['keys', 'revoke', 'a', '--yes', '--reason', 'two\nlines'], 'one line'],
  ])('refuses %j as a usage error', async (args, message) => {
    const { code, err } = await run(args)
    expect(code).toBe(2)
    expect(err).toContain(message)
  })

  it('refuses a kid that no ring has, and changes nothing without a yes', async () => {
    expect(await run(['keys', 'revoke', 'unknown', '--yes', ...REASON])).toMatchObject({
      code: 1,
      err: expect.stringContaining('no ring has a key unknown'),
    })
    const { kid } = await keyIn('RS256', 'active')
    const unattended = await run(['keys', 'revoke', kid, ...REASON])
    expect(unattended).toMatchObject({ code: 1, err: expect.stringContaining('add --yes') })
    expect(unattended.err).toContain('also FORGED ones, until they read the keys again: up to 2 h 5 min')
    expect(await cutOff(kid)).toBeUndefined()
    expect((await keyIn('RS256', 'active')).kid).toBe(kid)
  })

  it('of the active key ends its tokens, takes it out of the key set, and lets the next one sign', async () => {
    const [active, next] = [await keyIn('RS256', 'active'), await keyIn('RS256', 'published')]
    const old = (await exchange()).body['access_token']
    expect(await publishedKids()).toContain(active.kid)
    const { code, out, err } = await run(['keys', 'revoke', active.kid, '--yes', '--json', ...REASON])
    expect(code, err).toBe(0)
    const author = 'arn:aws:iam::111111111111:user/local-operator'
    const result = JSON.parse(out) as { revoked_at: number }
    expect(result).toMatchObject({ kid: active.kid, author, successor: next.kid })
    expect(auditedRevocations()).toEqual([
      expect.objectContaining({ kind: 'key', keys: [`key#${active.kid}`], author, reason: REASON[1] }),
    ])
    expect(err).toContain('It is young: verifiers with an old key set refuse new tokens for up to 2 h 6 min')
    expect(await cutOff(active.kid)).toMatchObject({
      cut_off: { N: String(result.revoked_at) },
      reason: { S: 'INC-7: a role was stolen' },
      author: { S: author },
    })
    expect((await keyIn('RS256', 'disabled')).kid).toBe(active.kid)
    expect(await kmsStateOf(active)).toBe('Disabled')
    // The environment is about to sign with what it has cached, finds that revoked, and asks anew.
    expect((await exchange()).status).toBe(503)
    expect(await onward(old)).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
    const { status, body } = await exchange()
    expect({ status, kid: kidOf(body['access_token']) }).toEqual({ status: 200, kid: next.kid })
    await expect.poll(publishedKids).not.toContain(active.kid)
    expect((await exchange('gitlab', LEDGER)).status).toBe(200)
  })

  it.each([
    ['is not reached', () => vi.spyOn(globalThis, 'fetch').mockRejectedValueOnce(NOT_REACHED), ''],
    ['fails', () => broker.cloud.aws.faults.set({ operation: 'dynamodb:UpdateItem', kind: 'reset' }), ''],
    ['refuses the operator', () => undefined, 'wrong'],
  ])(
    'says how to go on without the broker where that %s, and then does',
    async (_, fail, secretAccessKey) => {
      const active = await keyIn('RS256', 'active')
      const args = ['keys', 'revoke', active.kid, '--yes', ...REASON]
      fail()
      const failed = await runAsOperator(broker, args, { time, secretAccessKey })
      vi.restoreAllMocks()
      broker.cloud.aws.faults.clear()
      expect(failed).toMatchObject({ code: 1, err: expect.stringContaining('add --directly') })
      expect(failed.err).toContain('THE KEY IS NOT FULLY REVOKED')
      expect(await cutOff(active.kid)).toBeUndefined()
      const { code, err } = await runAsOperator(broker, [...args, '--directly'], { time, secretAccessKey })
      expect(code, err).toBe(0)
      expect(err).toContain('THE AUDIT TRAIL WILL LACK THIS REVOCATION')
      expect(err).toContain(`npx token-broker revoke key ${active.kid}`)
      expect(await cutOff(active.kid)).toMatchObject({ cut_off: { N: String(time) } })
      expect(auditedRevocations()).toEqual([])
    },
  )

  it('of the only key says that nobody signs, and how to go on; the other ring stays published', async () => {
    const [active, next] = [await keyIn('RS256', 'active'), await keyIn('RS256', 'published')]
    expect((await run(['keys', 'revoke', next.kid, '--yes', ...REASON])).code).toBe(0)
    const { code, err } = await run(['keys', 'revoke', active.kid, '--yes', ...REASON])
    expect(code).toBe(0)
    expect(err).toContain('NO KEY IS THERE TO TAKE OVER')
    renewEnvironments()
    expect((await exchange()).status).toBe(503)
    const es256 = (await manifestOf('ES256')).keys.map(({ kid }) => kid)
    await expect.poll(publishedKids).toEqual(es256)
    // It makes the next key, which waits for the caches of verifiers.
    expect(await run(['keys', 'reconcile'])).toMatchObject({
      code: 1,
      err: expect.stringMatching(/no key is active[\s\S]*keys rotate --now --before-caches-expire/),
    })
    expect(
      (await run(['keys', 'rotate', '--now', '--before-caches-expire', '--ring', 'RS256', '--yes'])).code,
    ).toBe(0)
    const { status, body } = await exchange()
    expect({ status, kid: kidOf(body['access_token']) }).toEqual({
      status: 200,
      kid: (await keyIn('RS256', 'active')).kid,
    })
  })

  it('lets no key take over that KMS refuses', async () => {
    const [active, next] = [await keyIn('RS256', 'active'), await keyIn('RS256', 'published')]
    await broker.kms.send(new DisableKeyCommand({ KeyId: arnOf(next) }))
    const { err } = await run(['keys', 'revoke', active.kid, '--yes', ...REASON])
    expect(err).toContain('NO KEY IS THERE TO TAKE OVER')
    expect((await manifestOf('RS256')).keys.filter(({ state }) => state === 'active')).toEqual([])
  })

  it.each([
    ['dynamodb:UpdateItem', { cutOff: false, state: 'active', kms: 'Enabled' }],
    ['dynamodb:PutItem', { cutOff: true, state: 'active', kms: 'Enabled' }],
    ['kms:DisableKey', { cutOff: true, state: 'disabled', kms: 'Enabled' }],
  ])('that fails at %s is finished by the same command', async (operation, left) => {
    const active = await keyIn('RS256', 'active')
    const args = ['keys', 'revoke', active.kid, '--yes', ...REASON]
    broker.cloud.aws.faults.set({ operation, kind: 'reset' })
    const { code, err } = await run(args)
    expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining('run the same command again') })
    broker.cloud.aws.faults.clear()
    const found = async () => ({
      cutOff: (await cutOff(active.kid)) !== undefined,
      state: (await manifestOf('RS256')).keys.find(({ kid }) => kid === active.kid)?.state,
      kms: await kmsStateOf(active),
    })
    expect(await found()).toEqual(left)
    expect((await run(args)).code).toBe(0)
    expect(await found()).toEqual({ cutOff: true, state: 'disabled', kms: 'Disabled' })
    // And once more: it says that there is nothing left to take out.
    expect((await run(args)).err).toContain('It has left the key set already: it is disabled')
    expect((await keyIn('RS256', 'active')).kid).not.toBe(active.kid)
  })

  it('goes on when a run of the rotation has changed the ring since the plan was made', async () => {
    const [active, next] = [await keyIn('RS256', 'active'), await keyIn('RS256', 'published')]
    const store = new DynamoDbKeyManifests(broker.dynamoDb, broker.table('SigningKeys'))
    const terminal = new MemoryTerminal({ answers: ['yes'] })
    terminal.ask = async () => {
      const manifest = await manifestOf('RS256')
      await store.save({ ...manifest, version: manifest.version + 1 })
      return 'yes'
    }
    expect((await run(['keys', 'revoke', active.kid, ...REASON], terminal)).code).toBe(0)
    expect((await keyIn('RS256', 'active')).kid).toBe(next.kid)
  })
})
