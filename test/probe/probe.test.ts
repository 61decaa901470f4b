import { compactVerify, importJWK } from 'jose'
import { beforeEach, describe, expect, it } from 'vitest'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import type { CompiledPolicy, Target } from '../../functions/core/policy/compiled.ts'
import { indexPolicy } from '../../functions/core/policy/decide.ts'
import { PROBE, probeUrls, withProbe } from '../../functions/core/policy/probe.ts'
import { isAwsTarget } from '../../functions/core/policy/target-kinds.ts'
import type { BrokerAnswer, SendToBroker, VerificationKey } from '../../functions/core/ports.ts'
import { httpHandler } from '../../functions/http/rim.ts'
import { serveDocuments } from '../../functions/jwks/serve-documents.ts'
import { type CheckResult, type Probe, runProbe } from '../../functions/probe/probe.ts'
import { serveProbeKey } from '../../functions/probe/serve-probe-key.ts'
import { createProbeTelemetry } from '../../functions/run-telemetry.ts'
import { awsTarget } from '../support/aws-roles.ts'
import { BROKER_ISSUER, createTestBroker, type TestBroker, testPolicy } from '../support/broker.ts'
import { emfLinesIn } from '../support/emf.ts'
import { createEndpoints, worldOf } from '../support/endpoints.ts'
import { MemoryProbeKey } from '../support/fakes.ts'
import { printedBy } from '../support/printed.ts'

const key = new MemoryProbeKey()
const quiet = { measure: () => undefined, refused: () => undefined, failed: () => undefined }
const PROBED = withProbe(testPolicy(), BROKER_ISSUER)
const [probeIssuer] = PROBED.issuers.filter(({ id }) => id === PROBE)
if (probeIssuer === undefined) throw new Error('the policy has no issuer of the probe')

const ALL = [
  'exchange',
  'verify',
  'introspect',
  'onward',
  'onward-introspect',
  'onward-again',
  'replay',
  'wrong-audience',
  'expired',
  'unknown-issuer',
  'revoke',
  'revoked-introspect',
  'revoked-descendant',
  'revoked-exchange',
  'forged',
]

let broker: TestBroker
let sent: { readonly path: string; readonly form: Readonly<Record<string, string>> }[]
beforeEach(async () => {
  broker = await createTestBroker()
  sent = []
  const publicKey = (await importJWK({ ...(await key.publicJwk()) } as never, 'ES256')) as VerificationKey
  broker.clientKeys.keys.set(`client#${PROBE}`, new Map([[key.kid, publicKey]]))
  for (const iss of [probeUrls(BROKER_ISSUER).issuer, `${probeUrls(BROKER_ISSUER).issuer}/unknown`])
    broker.issuerKeys.keys.set(iss, new Map([[key.kid, publicKey]]))
})

let ids = 0
const randomId = () => `random-${++ids}`.padEnd(22, 'x')

/** The endpoints of a broker with this policy, as the probe reaches them. */
function sendTo(policy: CompiledPolicy = PROBED): SendToBroker {
  const world = { ...worldOf(broker), policy: indexPolicy(policy), randomId }
  const endpoints = createEndpoints(broker, world)
  const keys = [...broker.keys.active.values()]
  const manifest = { ring: 'RS256' as const, version: 3, pending: undefined, keys }
  const manifests = async () => ({ inKms: [manifest], delegated: undefined })
  const documents = httpHandler(serveDocuments({ issuer: BROKER_ISSUER, manifests }), quiet)
  return async ({ path, form = {} }) => {
    sent.push({ path, form })
    const posted: Readonly<Record<string, typeof endpoints.token>> = {
      '/token': endpoints.token,
      '/introspect': endpoints.introspect,
      '/revoke': endpoints.revoke,
    }
    const { statusCode, headers, body } =
      (await posted[path]?.({ form })) ?? (await documents({ httpMethod: 'GET', path }, {}))
    return {
      status: statusCode,
      correlationId: headers['x-correlation-id'],
      body: body === '' ? {} : (JSON.parse(body) as Record<string, unknown>),
    }
  }
}

function probe(changes: Partial<Probe> = {}): Promise<readonly CheckResult[]> {
  const now = () => Math.floor(Date.now() / 1000)
  const made = { issuer: BROKER_ISSUER, key, send: sendTo(), now, randomId, ...changes }
  return runProbe(made, AbortSignal.timeout(30_000))
}

const namesOf = (results: readonly CheckResult[], outcome: string) =>
  results.filter((result) => result.outcome === outcome).map(({ check }) => check)

/** A broker that gives `answer` to the request with this number, from 1, and is honest otherwise. */
function answering(number: number, answer: BrokerAnswer | Error): SendToBroker {
  const honest = sendTo()
  let count = 0
  return async (request, deadline) => {
    count += 1
    if (count !== number) return honest(request, deadline)
    if (answer instanceof Error) throw answer
    return answer
  }
}

const GENERIC = {
  error: 'invalid_request',
  error_description: 'the subject or actor token is not acceptable',
}

const granted = (): BrokerAnswer => ({
  status: 200,
  correlationId: 'request-1',
  body: { access_token: 'a.b.c', active: true },
})

describe('the probe', () => {
  it('is content with a broker that does what it must', async () => {
    const results = await probe()
    expect(namesOf(results, 'passed')).toEqual(ALL)
  })

  it.each([
    [1, ['exchange'], ['verify', 'introspect', 'onward', 'replay', 'revoke']],
    [2, ['verify'], []],
    [3, ['introspect'], []],
    [4, ['onward'], ['onward-introspect', 'onward-again', 'revoked-descendant']],
    [5, ['onward-introspect'], []],
    [6, ['onward-again'], []],
    [7, ['replay'], []],
    [8, ['wrong-audience'], []],
    [9, ['expired'], []],
    [10, ['unknown-issuer'], []],
    [11, ['revoke'], ['revoked-introspect', 'revoked-descendant', 'revoked-exchange']],
    [12, ['revoked-introspect'], []],
    [13, ['revoked-descendant'], []],
    [14, ['revoked-exchange'], []],
    [15, ['forged'], []],
  ])(
    'holds no answer, and 503, to request %d for a failure of that check',
    async (number, failed, skipped) => {
      const down = { status: 503, correlationId: 'request-1', body: { error: 'temporarily_unavailable' } }
      for (const answer of [down, new Error('aborted')]) {
        const results = await probe({ send: answering(number, answer) })
        expect(namesOf(results, 'failed')).toEqual(failed)
        expect(namesOf(results, 'skipped')).toEqual(expect.arrayContaining(skipped))
        expect(namesOf(results, 'accepted')).toEqual([])
      }
    },
  )

  it.each([
    [7, 'replay'],
    [8, 'wrong-audience'],
    [9, 'expired'],
    [10, 'unknown-issuer'],
    [14, 'revoked-exchange'],
    [15, 'forged'],
  ])('holds a refusal in request %d for none where it is not that of a token: %s', async (number, check) => {
    const answer = { status: 400, correlationId: 'request-1', body: GENERIC }
    expect(namesOf(await probe({ send: answering(number, answer) }), 'passed')).toEqual(ALL)
    const others = [
      { ...answer, status: 401 },
      { ...answer, status: 403 },
      { ...answer, body: { ...GENERIC, error: 'invalid_target' } },
      { ...answer, body: { ...GENERIC, error_description: 'a required parameter is missing' } },
      { ...answer, body: { error: 'invalid_request' } },
      { ...answer, body: { ...GENERIC, hint: 'expired' } },
    ]
    for (const other of others)
      expect(namesOf(await probe({ send: answering(number, other) }), 'failed')).toEqual([check])
  })

  it.each([
    [12, 'revoked-introspect'],
    [13, 'revoked-descendant'],
  ])('holds an answer in request %d for none where it is not the bare one: %s', async (number, check) => {
    const answer = { status: 200, correlationId: 'request-1', body: { active: false } }
    expect(namesOf(await probe({ send: answering(number, answer) }), 'passed')).toEqual(ALL)
    for (const other of [
      { ...answer, status: 401 },
      { ...answer, body: { active: false, sub: 'x' } },
    ])
      expect(namesOf(await probe({ send: answering(number, other) }), 'failed')).toEqual([check])
  })

  it.each([
    [7, 'replay'],
    [8, 'wrong-audience'],
    [9, 'expired'],
    [10, 'unknown-issuer'],
    [12, 'revoked-introspect'],
    [13, 'revoked-descendant'],
    [14, 'revoked-exchange'],
    [15, 'forged'],
  ])('sees success in request %d where there must be none: %s', async (number, check) => {
    const results = await probe({ send: answering(number, granted()) })
    expect(results.filter(({ outcome }) => outcome !== 'passed')).toEqual([
      { check, outcome: 'accepted', status: 200, correlationId: 'request-1' },
    ])
  })

  it('sends tokens that differ from a good one in the one thing that is wrong', async () => {
    await probe()
    const claimsIn = (at: number): Record<string, unknown> =>
      JSON.parse(
        Buffer.from(sent[at]?.form['subject_token']?.split('.')[1] ?? '', 'base64url').toString(),
      ) as Record<string, unknown>
    const good = claimsIn(0)
    const differences = [7, 8, 9].map((at) => {
      const claims = claimsIn(at)
      return Object.keys(good).filter((name) => name !== 'jti' && claims[name] !== good[name])
    })
    // A run may last into the next second.
    const times = ['iat', 'nbf', 'exp']
    expect(differences[0]?.filter((name) => !times.includes(name))).toEqual(['aud'])
    expect(differences[1]).toEqual(
      ['iat', 'nbf', 'exp'].sort((a, b) => Object.keys(good).indexOf(a) - Object.keys(good).indexOf(b)),
    )
    expect(differences[2]?.filter((name) => !times.includes(name))).toEqual(['iss'])
  })

  it('asks the same, in the same words, once for what must be given and once for what must not', async () => {
    await probe()
    const [first, , , onward, descendant, again, replay] = sent
    const introspected = sent[2]?.form['token']
    expect(replay).toEqual(first)
    expect(again).toEqual(onward)
    const [revokedParent, revokedDescendant, revokedExchange, forgery] = sent.slice(11)
    expect(revokedParent?.form['token']).toBe(introspected)
    expect(revokedDescendant?.form['token']).toBe(descendant?.form['token'])
    expect(revokedExchange).toEqual(again)
    expect({ ...forgery?.form, subject_token: '' }).toEqual({ ...first?.form, subject_token: '' })
  })

  const elsewhere = { ...probeIssuer, audiences: [BROKER_ISSUER, `${BROKER_ISSUER}/somebody-else`] }
  const unknown = {
    ...probeIssuer,
    id: 'x' as typeof probeIssuer.id,
    issuer: `${probeIssuer.issuer}/unknown`,
  }
  it.each([
    ['wrong-audience', { ...PROBED, issuers: [elsewhere] }],
    [
      'unknown-issuer',
      {
        ...PROBED,
        issuers: [probeIssuer, unknown],
        grants: PROBED.grants.flatMap((grant) =>
          grant.issuer === PROBE ? [grant, { ...grant, issuer: unknown.id }] : [grant],
        ),
      },
    ],
  ] as const)('finds a broker out whose policy trusts too much: %s', async (check, policy) => {
    expect(namesOf(await probe({ send: sendTo(policy) }), 'accepted')).toEqual([check])
  })

  it('finds a broker out that forgets what it has recorded', async () => {
    broker.ledger.record = async () => ({ kind: 'recorded' })
    expect(namesOf(await probe(), 'accepted')).toEqual(['replay'])
  })

  it('finds a broker out that answers a revocation and forgets it', async () => {
    broker.revocations.cutOffs = async () => new Map()
    expect(namesOf(await probe(), 'accepted')).toEqual([
      'revoked-introspect',
      'revoked-descendant',
      'revoked-exchange',
    ])
  })

  it('finds a broker out that does not look at signatures', async () => {
    const honest = sendTo()
    const publicKey = (await importJWK({ ...(await key.publicJwk()) } as never, 'ES256')) as VerificationKey
    const send: SendToBroker = async (request, deadline) => {
      const token = request.form?.['subject_token'] ?? ''
      const { iss } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString() || '{}') as {
        iss?: string
      }
      const isForged = await compactVerify(token, publicKey).then(
        () => false,
        () => iss === probeUrls(BROKER_ISSUER).issuer,
      )
      return isForged ? granted() : honest(request, deadline)
    }
    expect(namesOf(await probe({ send }), 'accepted')).toEqual(['forged'])
  })

  it('finds a broker out that takes old tokens for new ones', async () => {
    const honest = sendTo()
    const send: SendToBroker = async (request, deadline) => {
      const [, payload = ''] = request.form?.['subject_token']?.split('.') ?? []
      const claims = JSON.parse(Buffer.from(payload, 'base64url').toString() || '{}') as { exp?: number }
      return (claims.exp ?? Number.POSITIVE_INFINITY) < Date.now() / 1000
        ? granted()
        : honest(request, deadline)
    }
    expect(namesOf(await probe({ send }), 'accepted')).toEqual(['expired'])
  })

  it('verifies as a resource server does: a token by a key that is not published fails', async () => {
    const honest = sendTo()
    const send: SendToBroker = async (request, deadline) => {
      const answer = await honest(request, deadline)
      if (request.path !== '/.well-known/jwks.json') return answer
      const published = answer.body['keys'] as readonly object[]
      return { ...answer, body: { keys: published.map((jwk) => ({ ...jwk, kid: 'another' })) } }
    }
    expect(namesOf(await probe({ send }), 'failed')).toEqual(['verify'])
  })

  it('fails where its own key cannot sign, and asks nothing then', async () => {
    const locked = { kid: key.kid, sign: () => Promise.reject(new DependencyUnavailable('kms', 'kms: down')) }
    const results = await probe({ key: locked })
    expect(namesOf(results, 'failed')).toEqual([
      'exchange',
      'wrong-audience',
      'expired',
      'unknown-issuer',
      'forged',
    ])
    expect(sent).toEqual([])
  })

  it('asks no more when its time is up', async () => {
    const send: SendToBroker = async (_, deadline) => {
      deadline.throwIfAborted()
      return granted()
    }
    const now = () => Math.floor(Date.now() / 1000)
    const run = { issuer: BROKER_ISSUER, key, send, now, randomId: () => 'x' }
    const results = await runProbe(run, AbortSignal.abort())
    expect(namesOf(results, 'accepted')).toEqual([])
    expect(namesOf(results, 'failed')).toContain('exchange')
  })
})

describe('what the probe says', () => {
  it('is one line of metrics, and one for each check that did not pass, by its name and correlation id', async () => {
    const results: readonly CheckResult[] = [
      { check: 'exchange', outcome: 'passed' },
      { check: 'introspect', outcome: 'failed', status: 503, correlationId: 'request-3' },
      { check: 'onward', outcome: 'failed', fault: new TypeError('CANARY') },
      { check: 'replay', outcome: 'accepted', status: 200, correlationId: 'request-5' },
      { check: 'revoke', outcome: 'skipped' },
    ]
    const { printed } = await printedBy(async () => createProbeTelemetry('test').measure(results))
    expect(emfLinesIn(printed)).toMatchObject([
      { ProbeFailures: 2, NegativeProbeSuccesses: 1, checks: 'introspect onward replay', stage: 'test' },
    ])
    const lines = printed
      .trim()
      .split('\n')
      .filter((line) => !line.includes('"_aws"'))
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      {
        level: 'ERROR',
        message: 'probe failed',
        check: 'introspect',
        status: 503,
        correlation_id: 'request-3',
      },
      { message: 'probe failed', check: 'onward', fault: { name: 'TypeError' } },
      { message: 'probe accepted', check: 'replay', status: 200, correlation_id: 'request-5' },
    ])
    expect(printed).not.toContain('CANARY')
  })

  it('holds no token that it sent or got', async () => {
    broker.ledger.record = async () => ({ kind: 'recorded' })
    const { printed } = await printedBy(async () =>
      createProbeTelemetry('test').measure(await probe({ send: answering(14, granted()) })),
    )
    expect(printed).toContain('replay')
    const secrets = sent.flatMap(({ form }) => [
      form['subject_token'],
      form['token'],
      form['client_assertion'],
    ])
    for (const secret of secrets.filter((text) => text !== undefined))
      for (const part of secret.split('.')) expect(printed).not.toContain(part.slice(0, 24))
  })

  it('is also nothing where all is well, but for the metrics', async () => {
    const { printed } = await printedBy(async () => createProbeTelemetry('test').measure(await probe()))
    expect(printed.trim().split('\n')).toHaveLength(1)
    expect(emfLinesIn(printed)).toMatchObject([{ ProbeFailures: 0, NegativeProbeSuccesses: 0 }])
  })
})

describe('the probe’s key', () => {
  const get = (path: string, httpMethod = 'GET') =>
    httpHandler(serveProbeKey(key), quiet)({ httpMethod, path }, {})

  it('is published without its private half, to GET alone', async () => {
    const { statusCode, headers, body } = await get('/probe/jwks.json')
    expect(statusCode).toBe(200)
    expect(headers).toMatchObject({ 'cache-control': expect.stringContaining('max-age=300') as string })
    const { keys } = JSON.parse(body) as { keys: Record<string, unknown>[] }
    expect(keys).toEqual([
      {
        kty: 'EC',
        crv: 'P-256',
        kid: key.kid,
        alg: 'ES256',
        use: 'sig',
        x: expect.any(String),
        y: expect.any(String),
      },
    ])
    expect((await get('/probe/jwks.json', 'POST')).statusCode).toBe(405)
    expect((await get('/probe')).statusCode).toBe(404)
  })
})

describe('what the probe is allowed', () => {
  it('cannot be named in a policy file', () => {
    for (const { id } of [...PROBED.issuers, ...PROBED.clients, ...PROBED.targets, ...PROBED.grants].filter(
      ({ id: name }) => name.startsWith(PROBE),
    ))
      expect(id).not.toMatch(/^[a-z0-9]/)
  })

  it('signs as the exchange may: by KMS, unless each target of tokens delegates', () => {
    const [ofTokens] = testPolicy().targets.filter((target) => !isAwsTarget(target))
    if (ofTokens === undefined) throw new Error('the policy has no target of tokens')
    const inKms: Target = { ...ofTokens, signing: 'kms' }
    const delegated: Target = { ...ofTokens, signing: 'delegated' }
    const signingBeside = (...targets: readonly Target[]) =>
      withProbe({ ...testPolicy(), targets }, BROKER_ISSUER).targets.flatMap((target) =>
        target.id === PROBE && !isAwsTarget(target) ? [target.signing] : [],
      )
    expect(signingBeside()).toEqual(['kms'])
    expect(signingBeside(awsTarget())).toEqual(['kms'])
    expect(signingBeside(inKms, delegated)).toEqual(['kms'])
    expect(signingBeside(delegated)).toEqual(['delegated'])
    expect(signingBeside(delegated, awsTarget())).toEqual(['delegated'])
  })

  it('ends at its own target: no grant for our own tokens reaches further', async () => {
    const own = { aud: probeUrls(BROKER_ISSUER).audience, sub: 'ci:somebody' }
    const wide = PROBED.grants.map((grant) =>
      grant.id === 'onward'
        ? { ...grant, when: [{ path: ['iss'], anyOf: [{ kind: 'equals' as const, value: BROKER_ISSUER }] }] }
        : grant,
    )
    const send = sendTo({ ...PROBED, grants: wide })
    const tryOnward = async (claims: Record<string, unknown>) => {
      const now = Math.floor(Date.now() / 1000)
      const token = await broker.own({ ...claims, iat: now, nbf: now, exp: now + 60 })
      const form = {
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: token,
        subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        audience: 'https://receipts.example.com',
      }
      return (await send({ path: '/token', form }, AbortSignal.timeout(5000))).status
    }
    expect(await tryOnward(own)).toBe(200)
    expect(await tryOnward({ ...own, sub: '_probe:probe' })).toBe(400)
  })
})
