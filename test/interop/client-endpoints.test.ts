import { getListFromStatusListJWT, getStatusListFromJWT, StatusList } from '@sd-jwt/jwt-status-list'
import { decodeJwt } from 'jose'
import * as oauth from 'oauth4webapi'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodeStatuses } from '../../functions/core/status-list.ts'
import { type Synthesis, synthesize } from '../../lib/local/synthesize.ts'
import { PAYMENTS, postForm, RECEIPTS, startTestCloud, type TestCloud } from '../support/cloud.ts'
import { type PolicyWithClients, policyWithClients } from '../support/policy-with-clients.ts'

const OPTIONS = { [oauth.allowInsecureRequests]: true }

const VAULT = 'https://vault.example.com'
/** A target whose tokens are bound to keys, and one more hop from it. */
const BOUND = {
  targets: {
    'vault-api': { audience: VAULT, scopes: ['vault.read'], token: { binding: 'dpop', dpop_nonce: true } },
  },
  grants: {
    'vault-worker': {
      issuer: 'cluster',
      when: { sub: 'system:serviceaccount:payments:worker' },
      target: 'vault-api',
      scopes: ['vault.read'],
    },
    'vault-onward': { issuer: 'broker', when: { aud: VAULT }, target: 'receipts-api' },
  },
}
let policy: PolicyWithClients
let synthesis: Synthesis
let broker: TestCloud
let server: oauth.AuthorizationServer

beforeAll(async () => {
  policy = await policyWithClients(BOUND)
  synthesis = synthesize({ policyFolder: policy.folder })
  const { assemblyFolder, policy: compiled } = synthesis
  broker = await startTestCloud({ assemblyFolder, issuers: compiled.issuers })
  const issuer = new URL(broker.url)
  const discovered = await oauth.discoveryRequest(issuer, { ...OPTIONS, algorithm: 'oauth2' })
  server = await oauth.processDiscoveryResponse(issuer, discovered)
})
afterAll(async () => {
  await broker.close()
  synthesis.dispose()
  policy.dispose()
  expect(broker.defects).toEqual([])
})

async function tokenFor(subject: string, audience: string): Promise<string> {
  const { status, body } = await broker.exchange(subject, { audience })
  expect(status).toBe(200)
  return body['access_token'] ?? ''
}
const payments = async () => tokenFor(await broker.sign({ preset: 'kubernetes' }), PAYMENTS)

const METHODS: readonly (readonly [method: string, client: string, authenticate: () => oauth.ClientAuth])[] =
  [
    ['client_secret_basic', 'test-secret', () => oauth.ClientSecretBasic(policy.secret)],
    ['private_key_jwt', 'test-assertion', () => oauth.PrivateKeyJwt(policy.key)],
  ]

describe.each(METHODS)('oauth4webapi, unmodified, as a client by %s', (_method, client_id, authenticate) => {
  async function introspect(token: string, requestJwtResponse = false) {
    const client = { client_id }
    const options = { ...OPTIONS, requestJwtResponse }
    const response = await oauth.introspectionRequest(server, client, authenticate(), token, options)
    const type = response.headers.get('content-type')
    const read = await oauth.processIntrospectionResponse(server, client, response)
    if (requestJwtResponse) await oauth.validateApplicationLevelSignature(server, response, OPTIONS)
    return { type, read }
  }

  it('exchanges', async () => {
    const client = { client_id }
    const parameters = {
      subject_token: await broker.sign({ preset: 'kubernetes' }),
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      audience: PAYMENTS,
    }
    const grant = 'urn:ietf:params:oauth:grant-type:token-exchange'
    const response = await oauth.genericTokenEndpointRequest(
      server,
      client,
      authenticate(),
      grant,
      parameters,
      OPTIONS,
    )
    const { access_token } = await oauth.processGenericTokenEndpointResponse(server, client, response)
    expect(decodeJwt(access_token)).toMatchObject({ client_id, aud: PAYMENTS })
  })

  it('introspects a token, and one that is none', async () => {
    const token = await payments()
    const { read } = await introspect(token)
    expect(read).toMatchObject({ active: true, iss: broker.url, aud: PAYMENTS, jti: decodeJwt(token).jti })
    expect((await introspect('none')).read).toEqual({ active: false })
  })

  it('takes the signed answer, by signature, issuer, audience and type', async () => {
    const token = await payments()
    const { type, read } = await introspect(token, true)
    expect(type).toBe('application/token-introspection+jwt')
    expect(read).toMatchObject({ active: true, jti: decodeJwt(token).jti })
    expect((await introspect('none', true)).read).toEqual({ active: false })
  })

  it('revokes a token, after which it is not active', async () => {
    const token = await payments()
    const client = { client_id }
    const response = await oauth.revocationRequest(server, client, authenticate(), token, OPTIONS)
    expect(await oauth.processRevocationResponse(response)).toBeUndefined()
    expect((await introspect(token)).read).toEqual({ active: false })
  })

  it('is told that it is not authenticated', async () => {
    const wrong =
      client_id === 'test-secret' ? oauth.ClientSecretBasic('wrong') : oauth.ClientSecretBasic(policy.secret)
    const client = { client_id }
    const response = await oauth.introspectionRequest(server, client, wrong, 'token', OPTIONS)
    const refused = oauth.processIntrospectionResponse(server, client, response)
    await expect(refused).rejects.toMatchObject({ status: 401, cause: [{ scheme: 'basic' }] })
  })
})

describe('oauth4webapi, unmodified, with DPoP', () => {
  const client: oauth.Client = { client_id: 'test-secret' }
  const grant = 'urn:ietf:params:oauth:grant-type:token-exchange'

  async function exchange(subject: string, audience: string, handle: oauth.DPoPHandle) {
    const ask = async () => {
      const response = await oauth.genericTokenEndpointRequest(
        server,
        client,
        oauth.ClientSecretBasic(policy.secret),
        grant,
        { subject_token: subject, subject_token_type: 'urn:ietf:params:oauth:token-type:jwt', audience },
        { ...OPTIONS, DPoP: handle },
      )
      return oauth.processGenericTokenEndpointResponse(server, client, response)
    }
    let asked = 1
    const answer = await ask().catch((error: unknown) => {
      if (!oauth.isDPoPNonceError(error)) throw error
      asked++
      return ask()
    })
    return { answer, asked }
  }

  it.each(['ES256', 'RS256', 'PS256', 'Ed25519'])(
    'is told a nonce, and gets tokens bound to its %s key, further ones without being told again',
    async (algorithm) => {
      const handle = oauth.DPoP(client, await oauth.generateKeyPair(algorithm))
      const jkt = await handle.calculateThumbprint()
      const first = await exchange(await broker.sign({ preset: 'kubernetes' }), VAULT, handle)
      expect([first.asked, first.answer.token_type]).toEqual([2, 'dpop'])
      expect(decodeJwt(first.answer.access_token)).toMatchObject({ aud: VAULT, cnf: { jkt } })
      const second = await exchange(await broker.sign({ preset: 'kubernetes' }), VAULT, handle)
      expect(second.asked).toBe(1)
      const onward = await exchange(first.answer.access_token, RECEIPTS, handle)
      expect(decodeJwt(onward.answer.access_token)).toMatchObject({ aud: RECEIPTS, cnf: { jkt } })
      const response = await oauth.introspectionRequest(
        server,
        client,
        oauth.ClientSecretBasic(policy.secret),
        onward.answer.access_token,
        OPTIONS,
      )
      const read = await oauth.processIntrospectionResponse(server, client, response)
      expect(read).toMatchObject({ active: true, token_type: 'DPoP', cnf: { jkt } })
    },
  )

  it('cannot pass on a token that is bound to another key', async () => {
    const [one, other] = [await oauth.generateKeyPair('ES256'), await oauth.generateKeyPair('ES256')]
    const subject = await broker.sign({ preset: 'kubernetes' })
    const { answer } = await exchange(subject, VAULT, oauth.DPoP(client, one))
    const stolen = exchange(answer.access_token, RECEIPTS, oauth.DPoP(client, other))
    await expect(stolen).rejects.toMatchObject({ error: 'invalid_request', status: 400 })
  })
})

describe('@sd-jwt/jwt-status-list, unmodified', () => {
  it('reads from the token which status is its own, and from the list what it is', async () => {
    const [revoked, kept] = [await payments(), await payments()]
    const [first, second] = [await tokenFor(revoked, RECEIPTS), await tokenFor(kept, RECEIPTS)]
    const body = { token: revoked }
    await postForm(`${broker.url}/revoke`, body, { authorization: policy.authorization })
    const statuses = [first, second].map(async (token) => {
      const { uri, idx } = getStatusListFromJWT(token)
      const response = await fetch(uri, { headers: { accept: 'application/statuslist+jwt' } })
      return getListFromStatusListJWT(await response.text()).getStatus(idx)
    })
    expect(await Promise.all(statuses)).toEqual([1, 0])
  })

  it('decodes every list to the bits that were encoded', () => {
    for (const invalid of [[], [0], [7, 8], [1, 63, 64, 4095], Array.from({ length: 4096 }, (_, i) => i)]) {
      const list = StatusList.decompressStatusList(encodeStatuses(invalid, 4096), 1)
      expect(list.statusList).toEqual(Array.from({ length: 4096 }, (_, i) => Number(invalid.includes(i))))
    }
  })
})
