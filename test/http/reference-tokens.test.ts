import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { digestOf } from '../../functions/core/token-id.ts'
import type { JsonObject } from '../../functions/core/types.ts'
import { createTestBroker, NOW, RECEIPTS, REPORTS, type TestBroker } from '../support/broker.ts'
import { assertionParameters, basic, SECRETS } from '../support/clients.ts'
import { createEndpoints, type TestEndpoints } from '../support/endpoints.ts'

let broker: TestBroker
let endpoints: TestEndpoints
let handle: string
let claims: JsonObject

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: NOW * 1000 })
  broker = await createTestBroker()
  endpoints = createEndpoints(broker)
  const subject_token = await broker.subjectToken('pod')
  const outcome = await broker.exchange({ subject_token, audience: REPORTS })
  handle = 'answer' in outcome ? outcome.answer.access_token : ''
  claims = broker.references.stored.get(digestOf(handle))?.claims ?? {}
})
afterEach(() => vi.useRealTimers())

const credentials = async () => assertionParameters(await broker.assertion('checkout'))
const introspect = async (token: string) =>
  (await endpoints.introspect({ form: { token, ...(await credentials()) } })).json
const revoke = async (token: string) => endpoints.revoke({ form: { token, ...(await credentials()) } })
const onward = (token: string) =>
  broker.exchange({
    subject_token: token,
    subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    audience: RECEIPTS,
  })

describe('introspection of a reference token', () => {
  it('tells a client of its target what a JWT would have said', async () => {
    const { lineage, ...visible } = claims
    expect(lineage).toHaveLength(1)
    expect(await introspect(handle)).toEqual({ active: true, token_type: 'Bearer', ...visible })
  })

  it('tells nobody else anything', async () => {
    const authorization = basic('legacy', SECRETS[0].secret)
    const { json } = await endpoints.introspect({ form: { token: handle }, headers: { authorization } })
    expect(json).toEqual({ active: false })
  })

  it.each([
    ['truncated', (text: string) => text.slice(0, -1)],
    ['extended', (text: string) => `${text}A`],
    ['without its prefix', (text: string) => text.slice(3)],
    ['by its hash', (text: string) => `rt_${digestOf(text)}`],
    ['by the hash alone', (text: string) => digestOf(text)],
  ])('knows no token that is %s', async (_name, change) => {
    expect(await introspect(change(handle))).toEqual({ active: false })
  })

  it('ends with the token, although it is still kept', async () => {
    Object.assign(claims, { exp: NOW + 10 })
    vi.setSystemTime((NOW + 9) * 1000)
    expect(await introspect(handle)).toHaveProperty('active', true)
    vi.setSystemTime((NOW + 10) * 1000)
    expect(await introspect(handle)).toEqual({ active: false })
    expect(broker.references.stored.size).toBe(1)
  })

  it.each(['token', 'lineage', 'subject', 'client', 'issuer'] as const)(
    'ends once it is revoked by %s',
    async (kind) => {
      const ids = {
        token: (claims['lineage'] as string[])[0],
        lineage: claims['txn'],
        subject: claims['sub'],
        client: claims['client_id'],
        issuer: claims['idp'],
      }
      broker.revocations.stored.set(`${kind}#${ids[kind] as string}`, NOW)
      expect(await introspect(handle)).toEqual({ active: false })
    },
  )

  it('is no guess while the handle cannot be looked up', async () => {
    broker.references.find = async () => {
      throw new Error('down')
    }
    const { statusCode } = await endpoints.introspect({
      form: { token: handle, ...(await credentials()) },
    })
    expect(statusCode).toBe(500)
  })
})

describe('revocation of a reference token', () => {
  it('ends it and what it was exchanged for', async () => {
    expect((await revoke(handle)).statusCode).toBe(200)
    expect(await introspect(handle)).toEqual({ active: false })
    const outcome = await onward(handle)
    expect('refused' in outcome && outcome.refused.kind).toBe('token_revoked')
  })

  it('is not to be had with a part of the handle, or by somebody else', async () => {
    await revoke(handle.slice(0, -1))
    await revoke(`${handle}A`)
    const authorization = basic('legacy', SECRETS[0].secret)
    const foreign = await endpoints.revoke({ form: { token: handle }, headers: { authorization } })
    expect(foreign.statusCode).toBe(200)
    expect(broker.revocations.stored.size).toBe(0)
    expect(await introspect(handle)).toHaveProperty('active', true)
  })

  it('is told in the audit trail without the handle', async () => {
    await introspect(`${handle}A`)
    await revoke(handle)
    await introspect(handle)
    expect(endpoints.said.audit.length).toBeGreaterThan(2)
    expect(JSON.stringify(endpoints.said)).not.toContain(handle.slice(3))
  })
})
