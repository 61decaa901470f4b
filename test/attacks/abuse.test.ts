import { webcrypto } from 'node:crypto'
import { describe, expect, it, vi } from 'vitest'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import { readable, resources, synthesize } from '../infrastructure/synthesize.ts'
import {
  type Attack,
  describeAttacks,
  expectVerdict,
  freezeTime,
  granted,
  refused,
  unavailable,
  witnessOf,
} from './attack.ts'
import { AttackedBroker, exchangeForm } from './broker.ts'
import { craft, craftingKey } from './crafted-jws.ts'

const { service } = synthesize()
const RS4096 = craftingKey('RS256', 'key-2')

/** Refusals for which no signature may be checked: an attacker must not buy a millisecond of ours with a byte of his. */
const CHEAP: readonly (readonly [string, (broker: AttackedBroker) => string, ReturnType<typeof refused>])[] =
  [
    ['a token beyond 16 KiB', (b) => b.token('ci', { x: 'x'.repeat(16_000) }), refused('token_malformed')],
    ['a header beyond 8 KiB', (b) => b.token('ci', {}, { x: 'x'.repeat(8192) }), refused('token_malformed')],
    [
      'an unknown issuer',
      (b) => b.token('ci', { iss: 'https://other.example.com' }),
      refused('issuer_not_trusted'),
    ],
    [
      'an algorithm that the issuer may not use',
      (b) => b.token('ci', {}, { alg: 'PS256' }),
      refused('algorithm_not_allowed'),
    ],
    ['an unknown key', (b) => b.token('ci', {}, { kid: 'unknown' }), refused('key_unknown')],
    [
      'a key for another algorithm',
      (b) => craft({ ...b.keys.ec, kid: 'key-1' }, b.claims('many')),
      refused('key_unknown'),
    ],
  ]

describe('cheap checks first', () => {
  freezeTime()

  for (const [name, token, verdict] of CHEAP)
    it(`L01 ${name} is refused without a signature check`, async () => {
      const broker = new AttackedBroker()
      const verify = vi.spyOn(webcrypto.subtle, 'verify')
      await expectVerdict(broker, { form: { subject_token: token(broker) } }, verdict)
      expect(verify).not.toHaveBeenCalled()
      await expectVerdict(broker, { form: { subject_token: broker.token() } }, granted())
      expect(verify).toHaveBeenCalledTimes(1)
      verify.mockRestore()
    })

  it('L01 what is refused by its form never asks an issuer for keys', async () => {
    const broker = new AttackedBroker()
    for (const form of [
      { subject_token: 'x' },
      { subject_token: broker.token(), scope: '"' },
      { subject_token: broker.token(), resource: '/' },
    ])
      expect((await witnessOf(broker, { form })).calls).toEqual([])
  })

  it('L01 an untrusted key of any size is not imported', async () => {
    const broker = new AttackedBroker()
    const importKey = vi.spyOn(webcrypto.subtle, 'importKey')
    const token = craft(RS4096, broker.claims('ci', { iss: 'https://other.example.com' }))
    await expectVerdict(broker, { form: { subject_token: token } }, refused('issuer_not_trusted'))
    expect(importKey).not.toHaveBeenCalled()
    importKey.mockRestore()
  })

  it('L03 keys of the table are spread evenly, whatever the tokens have in common', async () => {
    const broker = new AttackedBroker()
    for (let run = 0; run < 256; run++)
      await witnessOf(broker, {
        form: { subject_token: broker.token('ci', { jti: `run-${String(run).padStart(8, '0')}` }) },
      })
    const keys = [...broker.ledger.records.keys()]
    expect(keys).toHaveLength(256)
    for (const key of keys) expect(key).toMatch(/^[\w-]{22}$/)
    // 256 draws from 64 first characters: with 40 of them seen, no partition can be hot.
    expect(new Set(keys.map((key) => key[0])).size).toBeGreaterThan(40)
  })

  it('L05 503 says when to come back, not to all at the same time', async () => {
    const waits = new Set<string | undefined>()
    const broker = new AttackedBroker()
    broker.world.ledger.record = () => Promise.reject(new DependencyUnavailable('dynamodb', 'down'))
    for (let request = 0; request < 100; request++) {
      const { status, headers } = await witnessOf(broker, { form: { subject_token: broker.token('pod') } })
      expect(status).toBe(503)
      waits.add(headers['retry-after'])
    }
    expect(waits).toEqual(new Set(['1', '2', '3', '4', '5']))
  })

  it('L05 503 for an issuer whose keys cannot be had says so too', async () => {
    const broker = new AttackedBroker()
    broker.published.clear()
    const { headers } = await expectVerdict(broker, { form: { subject_token: broker.token() } }, unavailable)
    expect(headers['retry-after']).toMatch(/^[1-5]$/)
  })
})

describe('the template', () => {
  it('L02 throttles each route below what KMS signs for an account', () => {
    const [stage] = Object.values(resources(service, 'AWS::ApiGatewayV2::Stage'))
    const settings = readable(stage?.Properties['DefaultRouteSettings']) as Record<string, number>
    const KMS_RSA_SIGNATURES_PER_SECOND = 1000
    expect(settings['ThrottlingRateLimit']).toBeLessThan(KMS_RSA_SIGNATURES_PER_SECOND)
  })

  it('L04 serves /token by a function that serves nothing else', () => {
    const integrations = resources(service, 'AWS::ApiGatewayV2::Integration')
    const functionOf = (route: { readonly Properties: Readonly<Record<string, unknown>> }): unknown => {
      const target = JSON.stringify(route.Properties['Target'])
      const [, integration] = Object.entries(integrations).find(([id]) => target.includes(id)) ?? []
      return readable(integration?.Properties['IntegrationUri'])
    }
    const routes = Object.values(resources(service, 'AWS::ApiGatewayV2::Route'))
    const token = routes.filter((route) => String(route.Properties['RouteKey']).endsWith(' /token'))
    expect(token).toHaveLength(1)
    const [exchange] = token.map(functionOf)
    expect(routes.filter((route) => functionOf(route) === exchange)).toHaveLength(1)
  })
})

/** As much of everything as is accepted, or refused. */
const LONG: Readonly<Record<string, (broker: AttackedBroker) => Record<string, string | readonly string[]>>> =
  {
    'the longest token': (b) => ({ subject_token: b.token('ci', { x: 'x'.repeat(11_000), aud: 'other' }) }),
    'the longest audience': (b) => ({ subject_token: b.token(), audience: 'x'.repeat(50_000) }),
    'the longest resource': (b) => ({
      subject_token: b.token(),
      resource: `https://x/${'x'.repeat(50_000)}`,
    }),
    'the longest scope': (b) => ({ subject_token: b.token(), scope: 'x'.repeat(50_000) }),
    'the longest name': (b) => ({ subject_token: b.token(), [`x${'x'.repeat(50_000)}`]: ['', ''] }),
    'the longest subject': (b) => ({
      subject_token: b.token('ci', { sub: 'x'.repeat(255), repository_id: 'x' }),
    }),
    'the longest list of audiences': (b) => ({
      subject_token: b.token(),
      audience: Array.from({ length: 8 }, () => 'x'.repeat(7000)),
    }),
  }

describe('a flood of refusals', () => {
  freezeTime()

  for (const [name, form] of Object.entries(LONG))
    it(`L06 ${name} leaves two lines, and no more than 2 kB`, async () => {
      const broker = new AttackedBroker()
      const { printed, refusals } = await witnessOf(broker, { form: form(broker) })
      expect(refusals).toHaveLength(1)
      // The audit event and the metrics.
      expect(printed.trimEnd().split('\n')).toHaveLength(2)
      expect(printed.length).toBeLessThan(2048)
    })

  it('L06 every refusal is counted and recorded, and every grant too', async () => {
    const broker = new AttackedBroker()
    for (let request = 0; request < 200; request++) {
      const bad = await witnessOf(broker, { form: { subject_token: 'x' } })
      expect(bad.refusals).toHaveLength(1)
      expect(bad.printed).toContain('"Failed":0')
      expect(bad.printed).toContain('"outcome":"refused"')
    }
    for (let request = 0; request < 50; request++)
      await witnessOf(broker, { form: { subject_token: broker.token() } })
    expect(broker.ledger.records.size).toBe(50)
  })
})

const flooded: readonly Attack[] = [
  {
    title: 'L06 a body of nothing but one token, repeated',
    present: (b) => {
      const subject_token = b.token()
      const body = exchangeForm({ subject_token: Array.from({ length: 20 }, () => subject_token) })
      return { body, secrets: [subject_token] }
    },
    verdict: refused('parameter_repeated'),
  },
]

describeAttacks('floods', flooded)
