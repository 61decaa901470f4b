import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { CONSOLE_PATH, Console } from '../../../lib/local/console/console.ts'
import { Monitoring } from '../../../lib/local/console/monitoring.ts'
import type { MonitoringView, RequestTrail } from '../../../lib/local/console/wire.ts'
import { AWS_CREDENTIALS_TYPE, JWT_TYPE } from '../../../lib/local/demo-exchange.ts'
import {
  type Answer,
  LEDGER,
  PAYMENTS,
  RECEIPTS,
  REPORTS,
  startTestCloud,
  type TestCloud,
} from '../../support/cloud.ts'

let broker: TestCloud

beforeAll(async () => {
  const console = new Console({
    assemblyFolder: inject('assemblyFolder'),
    policy: inject('policy'),
    warnings: [],
  })
  broker = await startTestCloud(console.listeners)
  console.serve(broker.cloud)
})
afterAll(() => broker.close())

interface Sent {
  readonly method?: string
  readonly headers?: Record<string, string | string[]>
  readonly body?: string
}

/** `fetch` would mend the path and the host. */
function send(path: string, { method = 'GET', headers = {}, body }: Sent = {}) {
  return new Promise<{ status: number; headers: IncomingHttpHeaders; text: string }>((resolve, reject) => {
    const { port, host } = new URL(broker.url)
    // As a list, so that a name can be there twice.
    const list = Object.entries({ host, ...headers }).flatMap(([name, values]) =>
      [values].flat().flatMap((value) => [name, value]),
    )
    const request = httpRequest({ port, host: '127.0.0.1', path, method, headers: list }, (response) => {
      let text = ''
      response.on('data', (chunk) => {
        text += String(chunk)
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }))
    })
    request.on('error', reject)
    request.end(body)
  })
}

const api = (name: string) => `${CONSOLE_PATH}/api/${name}`
const post = (headers: Sent['headers'] = {}): Sent => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', ...headers },
  body: '{"claims": {}}',
})
const EVERYTHING = ['', '/', '/app.js', '/style.css', '/api/policy', '/api/keys', '/api/none'].map(
  (path) => `${CONSOLE_PATH}${path}`,
)

describe('who may ask the console', () => {
  it.each(['127.0.0.1', 'localhost', 'LOCALHOST', 'console.localhost', '127.1.2.3', '[::1]'])(
    'answers to %s, whatever port leads to it',
    async (host) => {
      const { port } = new URL(broker.url)
      for (const named of [host, `${host}:${port}`, `${host}:9000`])
        expect((await send(CONSOLE_PATH, { headers: { host: named } })).status).toBe(200)
    },
  )

  it.each([
    'attacker.example',
    '127.0.0.1.attacker.example',
    'localhost.attacker.example',
    'attackerlocalhost',
    'localhost@attacker.example',
    'attacker.example#.localhost',
    '10.0.0.1',
    '0.0.0.0',
    '128.0.0.1',
    '',
  ])('refuses the host %j, whatever is asked for, and of the API and the demo issuer too', async (host) => {
    const others = ['/token', '/health', '/demo-issuer/sign', '/demo-issuer/github/jwks.json', '/nowhere']
    for (const path of [...EVERYTHING, ...others]) {
      const { status, text } = await send(path, { headers: { host } })
      expect([path, status, text]).toEqual([
        path,
        403,
        expect.stringContaining('127.0.0.1 and localhost only'),
      ])
    }
    expect((await send(api('explain'), post({ host }))).status).toBe(403)
  })

  it('refuses a second host', async () => {
    const { host } = new URL(broker.url)
    for (const path of [CONSOLE_PATH, '/health'])
      for (const hosts of [
        [host, 'attacker.example'],
        [host, host],
      ])
        expect([400, 403]).toContain((await send(path, { headers: { host: hosts } })).status)
  })

  it.each([
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { origin: 'https://attacker.example' },
    { origin: 'http://127.0.0.1:1' },
    { origin: 'null' },
  ])('refuses a request that another site has sent: %j', async (headers) => {
    expect((await send(api('policy'), { headers })).status).toBe(403)
    expect((await send(api('feed'), { headers })).status).toBe(403)
    for (const name of ['explain', 'rotation', 'reconcile', 'revocations', 'faults'])
      expect((await send(api(name), post(headers))).status).toBe(403)
  })

  it('opens from a link on another site, as a page of its own', async () => {
    const { status, headers } = await send(CONSOLE_PATH, { headers: { 'sec-fetch-site': 'cross-site' } })
    expect(status).toBe(200)
    expect(headers['content-security-policy']).toContain("frame-ancestors 'none'")
  })

  it.each(['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp', ''])(
    'refuses a body of type %j, which a form could send',
    async (type) => {
      for (const name of ['explain', 'rotation', 'reconcile', 'revocations', 'faults'])
        expect((await send(api(name), post({ 'content-type': type }))).status).toBe(415)
    },
  )

  it('changes nothing by GET, and names the method', async () => {
    for (const name of ['explain', 'rotation', 'reconcile', 'revocations', 'faults']) {
      const { status, headers } = await send(api(name))
      expect([name, status, headers['allow']]).toEqual([name, 405, 'POST'])
    }
    const { status, headers } = await send(CONSOLE_PATH, { method: 'POST' })
    expect([status, headers['allow']]).toEqual([405, 'GET, HEAD'])
  })

  it.each(['{', '[]', 'null', '{"claims": 1}', `{"claims": {"a": "${'x'.repeat(70_000)}"}}`])(
    'refuses a body that makes no sense',
    async (body) => {
      expect((await send(api('explain'), { ...post(), body })).status).toBe(400)
    },
  )
})

describe('what the console serves', () => {
  it.each(EVERYTHING)('lets nothing but itself into the page: %s', async (path) => {
    const { headers } = await send(path)
    const policy = String(headers['content-security-policy'])
    for (const rule of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"])
      expect(policy).toContain(rule)
    expect(policy).not.toContain('unsafe')
    expect(headers).toMatchObject({
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'cross-origin-resource-policy': 'same-origin',
    })
    expect(headers).not.toHaveProperty('set-cookie')
    expect(headers).not.toHaveProperty('access-control-allow-origin')
  })

  it('has no script or style inside the page', async () => {
    const { text } = await send(CONSOLE_PATH)
    expect(text).toMatch(/<script type="module" src="\/console\/app.js"><\/script>/)
    expect(text).not.toMatch(/<script(?![^>]* src=)|<style|\son\w+=|\sstyle=/)
  })

  it.each([
    '/../package.json',
    '/%2e%2e/package.json',
    '/..%2f..%2fpackage.json',
    '/app.js/../../package.json',
    '/page/main.tsx',
    '/api/../app.js',
    '/api/requests/../policy',
    '/api/__proto__',
    '/api/constructor',
    'x',
  ])('serves no file but its own: %s', async (path) => {
    const { status, text } = await send(`${CONSOLE_PATH}${path}`)
    expect(status).toBe(404)
    expect(text).toBe('{"error":"not found"}')
  })
})

async function trailOf(answer: Answer): Promise<RequestTrail> {
  const id = answer.headers.get('x-correlation-id') ?? ''
  // Its function reports a moment later than it answers.
  await expect.poll(async () => (await send(api(`requests/${id}`))).text).toContain('"measured":{"')
  return JSON.parse((await send(api(`requests/${id}`))).text) as RequestTrail
}

const callsOf = ({ calls }: RequestTrail) => calls.map(({ name }) => name).toSorted()

describe('the trail of an exchange', () => {
  it('says what was decided, by which grant, and what came out', async () => {
    const answer = await broker.exchange(await broker.sign({ preset: 'github-actions' }), {
      audience: PAYMENTS,
    })
    const trail = await trailOf(answer)
    expect(trail).toMatchObject({
      outcome: 'answered',
      issuer: 'github',
      grant: 'payments-ci',
      target: 'payments-api',
      candidates: [{ grant: 'payments-ci', text: 'payments-ci: matches' }],
      replay: 'recorded: this use is the first',
      revocation: 'nothing is revoked',
      issued: { iss: broker.url, aud: PAYMENTS, grant: 'payments-ci', repository: 'octo-org/payments' },
      measured: { verify_ms: expect.any(Number) as number },
    })
    expect(trail.token?.id).toMatch(/^[\w-]{22}$/)
  })

  it('shows the claims that the policy reads, and no other', async () => {
    const token = await broker.sign({ preset: 'kubernetes' })
    const { claims } = await trailOf(await broker.exchange(token, { audience: PAYMENTS }))
    expect(Object.keys(claims ?? {}).toSorted()).toEqual(
      ['aud', 'exp', 'iat', 'iss', 'jti', 'kubernetes.io', 'nbf', 'sub'].toSorted(),
    )
    expect(claims?.['kubernetes.io']).toEqual({ namespace: 'payments', serviceaccount: { name: 'worker' } })
  })

  it('names the first condition in the way, with what was expected and what was found', async () => {
    const token = await broker.sign({ preset: 'github-actions', claims: { ref: 'refs/pull/7/merge' } })
    expect(await trailOf(await broker.exchange(token, { audience: PAYMENTS }))).toMatchObject({
      outcome: 'refused',
      reason: 'no_grant_matches',
      candidates: [{ mismatch: { path: ['ref'], found: 'refs/pull/7/merge' } }],
      replay: 'not reached',
      calls: [],
    })
  })

  it('names the actor who was presented, with markup in its name as text', async () => {
    const actor = await broker.sign({ preset: 'kubernetes', claims: { sub: '<b>worker</b>' } })
    const answer = await broker.exchange(await broker.sign({ preset: 'github-actions' }), {
      audience: PAYMENTS,
      actor_token: actor,
      actor_token_type: JWT_TYPE,
    })
    const trail = await trailOf(answer)
    expect(trail).toMatchObject({ outcome: 'refused' })
    expect(trail.actor).toEqual({ issuer: 'cluster', subject: 'cluster:<b>worker</b>' })
    expect(trail).not.toHaveProperty('binding')
  })

  it('says to which key the new token is bound', async () => {
    const { publicKey, privateKey } = await generateKeyPair('ES256')
    const proof = await new SignJWT({ htm: 'POST', htu: `${broker.url}/token`, jti: 'one-proof' })
      .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: await exportJWK(publicKey) })
      .setIssuedAt()
      .sign(privateKey)
    const token = await broker.sign({ preset: 'github-actions' })
    const trail = await trailOf(await broker.exchange(token, { audience: PAYMENTS }, { dpop: proof }))
    const { jkt } = (trail.issued?.['cnf'] ?? {}) as { readonly jkt?: string }
    expect(jkt).toMatch(/^[\w-]{43}$/)
    expect(trail.binding).toEqual({ jkt })
  })

  it('names the session of an AWS role, with the calls of the function that starts it, and no secret', async () => {
    const claims = { repository_id: '123456', ref: 'refs/tags/v1.2.3', environment: 'production' }
    const role = 'arn:aws:iam::111122223333:role/payments-deploy'
    const answer = await broker.exchange(await broker.sign({ preset: 'github-actions', claims }), {
      audience: role,
      requested_token_type: AWS_CREDENTIALS_TYPE,
    })
    const credentials = JSON.parse(answer.body['access_token'] ?? '{}') as Record<string, string>
    const trail = await trailOf(answer)
    expect(trail.session).toEqual({ role, name: broker.cloud.aws.sts.sessions.at(-1)?.sessionName })
    expect(trail).toMatchObject({
      replay: 'recorded: this use is the first',
      revocation: 'nothing is revoked',
    })
    expect(callsOf(trail)).toContain('sts:AssumeRoleWithWebIdentity')
    for (const name of ['AccessKeyId', 'SecretAccessKey', 'SessionToken'])
      expect(JSON.stringify(trail)).not.toContain(credentials[name] ?? 'missing')
  })

  it('tells a replay, a retry and a revoked token apart', async () => {
    const token = await broker.sign({ preset: 'github-actions' })
    const headers = { 'idempotency-key': 'the-same-request-1' }
    const first = await broker.exchange(token, {}, headers)
    const retry = await trailOf(await broker.exchange(token, {}, headers))
    expect(retry).toMatchObject({ outcome: 'answered', replay: 'the same request again: the same token' })
    const replay = await trailOf(await broker.exchange(token))
    expect(replay).toMatchObject({ reason: 'token_replayed', replay: 'replayed: used before' })
    const { token: issued } = await trailOf(first)
    const revoked = await send(api('revocations'), { ...post(), body: JSON.stringify({ token: issued?.id }) })
    expect(JSON.parse(revoked.text)).toMatchObject({ done: true })
    const onward = await broker.exchange(first.body['access_token'] ?? '', {
      audience: RECEIPTS,
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    })
    expect(await trailOf(onward)).toMatchObject({
      reason: 'token_revoked',
      revocation: 'revoked by a cut-off of the token',
    })
  })

  it('knows which call belongs to which of many requests at the same time', async () => {
    const tokens = await Promise.all(
      Array.from({ length: 12 }, (_, index) =>
        broker.sign({ preset: index % 2 === 0 ? 'kubernetes' : 'aws-outbound' }),
      ),
    )
    const answers = await Promise.all(
      tokens.map((token, index) => broker.exchange(token, { audience: index % 2 === 0 ? REPORTS : LEDGER })),
    )
    for (const [index, answer] of answers.entries()) {
      expect(answer.status).toBe(200)
      const calls = callsOf(await trailOf(answer))
      expect(calls.filter((name) => name === 'dynamodb:BatchGetItem')).toHaveLength(1)
      expect(calls.filter((name) => name === 'dynamodb:PutItem')).toHaveLength(index % 2 === 0 ? 2 : 1)
      expect(calls.filter((name) => name === 'kms:Sign')).toHaveLength(index % 2 === 0 ? 0 : 1)
    }
  })

  it('holds no token and no signature, and neither does the live list', async () => {
    const subject = await broker.sign({ preset: 'github-actions' })
    const hidden = await broker.sign({ preset: 'github-actions' })
    const answer = await broker.exchange(subject, { audience: PAYMENTS })
    const smuggled = await broker.sign({
      preset: 'github-actions',
      claims: { ref: hidden, repository: `a ${hidden}` },
    })
    const refused = await broker.exchange(smuggled, { audience: PAYMENTS })
    const handle = await broker.exchange(await broker.sign({ preset: 'kubernetes' }), { audience: REPORTS })
    const misplaced = await broker.exchange(subject, { audience: hidden, scope: hidden })
    const seen = [
      ...(await Promise.all([answer, refused, handle, misplaced].map(trailOf))).map((it) =>
        JSON.stringify(it),
      ),
      await firstOfFeed(),
    ].join('\n')
    const tokens = [
      subject,
      hidden,
      smuggled,
      ...[answer, handle].map(({ body }) => body['access_token'] ?? ''),
    ]
    for (const part of tokens.flatMap((token) => token.split('.')).filter((each) => each.length > 40))
      expect(seen).not.toContain(part)
    expect(handle.body['access_token']).toMatch(/^rt_/)
    expect(seen).not.toContain(handle.body['access_token'])
    expect(seen).toContain('looks like a token: not shown')
  })
})

async function firstOfFeed(name = 'feed'): Promise<string> {
  const stop = new AbortController()
  const response = await fetch(`${broker.url}${api(name)}`, { signal: stop.signal })
  let text = ''
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk).toString()
    if (text.includes('\n\n')) break
  }
  stop.abort()
  return text
}

it('lists what the probe sends apart, where it buries nothing', async () => {
  await broker.cloud.invoke('ProberFunction', { source: 'aws.events' })
  const last = await broker.exchange('no token', { audience: LEDGER })
  await expect.poll(() => firstOfFeed()).toContain(last.headers.get('x-correlation-id'))
  expect(await firstOfFeed()).not.toContain('probe')
  for (const seen of ['"_probe:probe"', '"issuer_not_trusted"', '"/revoke"', '"/introspect"'])
    await expect.poll(() => firstOfFeed('feed-with-probe')).toContain(seen)
})

it('opens no live list for HEAD', async () => {
  // One more than may be open at a time.
  for (let count = 0; count < 9; count++)
    expect((await send(api('feed'), { method: 'HEAD' })).status).toBe(200)
  expect(await firstOfFeed()).toMatch(/^data: \{"requests":/)
})

describe('what whoever is on call sees', () => {
  const fault = async (name: string, injected: boolean) =>
    send(api('faults'), { ...post(), body: JSON.stringify({ name, injected }) })

  it('is the template’s dashboards, with what this run has published', async () => {
    await trailOf(await broker.exchange(await broker.sign({ preset: 'kubernetes' }), { audience: PAYMENTS }))
    const { view } = JSON.parse((await send(api('monitoring'))).text) as { readonly view: MonitoringView }
    expect(view.dashboards.map(({ name }) => name).toSorted()).toEqual(
      ['debug', 'executive', 'on-call'].map((name) => `token-broker-dev-${name}`),
    )
    const widgets = view.dashboards.flatMap((dashboard) => dashboard.widgets)
    const asked = widgets.find(({ title }) => title === 'What is asked, and what becomes of it')
    const values = asked?.lines.find(({ label }) => label === 'requests')?.values ?? []
    expect(values.reduce((sum: number, value) => sum + (value ?? 0), 0)).toBeGreaterThan(0)
    const byAws = widgets
      .flatMap(({ lines }) => lines)
      .filter(({ note }) => note === 'AWS itself publishes it')
    expect(byAws.length).toBeGreaterThan(0)
    expect(byAws.flatMap((line) => line.values)).toEqual([])
  })

  it('is the shares of answers by how long they took, to be stacked up to 100', () => {
    const monitoring = new Monitoring(inject('assemblyFolder'))
    monitoring.addLine(measured(0, { Duration: [12, 25, 25.1, 200, 201, 350, 900, 900] }))
    monitoring.addLine(measured(2, { Duration: [12] }))
    const { dashboards = [] } = monitoring.view(START + 2 * 60_000) ?? {}
    const widgets = dashboards.flatMap((dashboard) => dashboard.widgets)
    const heatMap = widgets.find(({ title }) => title.startsWith('Latency heat map'))
    expect(heatMap).toMatchObject({ view: 'chart', isStacked: true, most: 100 })
    expect(heatMap?.lines.map(({ label, values }) => [label, ...values])).toEqual([
      ['up to 25 ms', 25, null, 100],
      ['25 to 50 ms', 12.5, null, 0],
      ['50 to 100 ms', 0, null, 0],
      ['100 to 200 ms', 12.5, null, 0],
      ['200 to 400 ms', 25, null, 0],
      ['400 to 800 ms', 0, null, 0],
      ['over 800 ms', 25, null, 0],
    ])
    const slow = widgets.find(({ title }) => title === 'How many of the answered requests are slow')
    expect(slow?.isStacked).toBe(false)
  })

  it.each([
    ['kms-throttled', 'kms', 'kubernetes', PAYMENTS],
    // Of an issuer whose keys nothing has read yet: those that were read serve on.
    ['issuer-down', 'issuer-keys', 'gitlab', LEDGER],
  ])('is a fault that was injected, until it is cleared: %s', async (name, dependency, preset, audience) => {
    const exchange = async () => broker.exchange(await broker.sign({ preset }), { audience })
    expect((await fault(name, true)).status).toBe(200)
    const failed = await exchange()
    expect(failed.status).toBe(503)
    expect((await trailOf(failed)).dependency).toBe(dependency)
    await fault(name, false)
    expect((await send(api('monitoring'))).text).not.toContain('"isInjected":true')
    // An issuer that failed is asked again 30 s later: that is the broker's own patience.
    if (name === 'kms-throttled') expect((await exchange()).status).toBe(200)
  })

  it.each(['none', '__proto__', 'constructor'])('is no fault that there is not: %s', async (name) => {
    expect((await fault(name, true)).status).toBe(400)
  })

  it('is an alarm that rings while requests fail, and not while they succeed', () => {
    const statesIf = (failed: number) => {
      const monitoring = new Monitoring(inject('assemblyFolder'))
      for (let minute = 0; minute < 10; minute++)
        monitoring.addLine(
          measured(minute, { Failed: ofAHundred(minute < 4 ? 0 : failed), ProbeFailures: 0 }),
        )
      const { alarms = [] } = monitoring.view(START + 9 * 60_000) ?? {}
      return new Map(alarms.map(({ id, state }) => [id, state]))
    }
    expect(statesIf(0).get('availability-burn-day-in-5m')).toBe('OK')
    expect(statesIf(100).get('availability-burn-day-in-5m')).toBe('ALARM')
    expect(statesIf(0).get('availability-burn-fast')).not.toBe('ALARM')
    expect(statesIf(100).get('availability-burn-fast')).toBe('ALARM')
    expect(statesIf(100).get('functions-throttled')).toBe('NOT_EVALUATED')
  })

  const PAGING = ['probe-failing', 'availability-burn-fast']
  /** The alarms after so many minutes in which requests succeed, with what the probe says in each. */
  const alarmsAfter = (minutes: number, probe: Readonly<Record<string, number>>) => {
    const monitoring = new Monitoring(inject('assemblyFolder'))
    for (let minute = 0; minute < minutes; minute++)
      monitoring.addLine(measured(minute, { Failed: ofAHundred(0), ...probe }))
    const { alarms = [] } = monitoring.view(START + (minutes - 1) * 60_000) ?? {}
    return alarms
  }
  const ofPaging = (alarms: MonitoringView['alarms']) =>
    PAGING.map((id) => {
      const { state, awaitsData = false } = alarms.find((alarm) => alarm.id === id) ?? {}
      return [state, awaitsData]
    })

  it('is no page in the first minutes, when the probe has not published yet: that is said instead', () => {
    expect(ofPaging(alarmsAfter(1, {}))).toEqual([
      ['ALARM', true],
      ['ALARM', true],
    ])
  })

  it.each([
    ['no page if what the probe has published first is good', 0, true],
    ['a page if it is not', 1, false],
  ])('is %s, while the minutes before that are missing', (_name, ProbeFailures, awaits) => {
    const monitoring = new Monitoring(inject('assemblyFolder'))
    for (let minute = 0; minute < 3; minute++)
      monitoring.addLine(measured(minute, { Failed: ofAHundred(0), ...(minute === 1 && { ProbeFailures }) }))
    const { alarms = [] } = monitoring.view(START + 2 * 60_000) ?? {}
    expect(ofPaging(alarms)).toEqual([
      ['ALARM', awaits],
      ['ALARM', awaits],
    ])
  })

  it('is a page if the probe stays silent, or fails', () => {
    const rings = [
      ['ALARM', false],
      ['ALARM', false],
    ]
    expect(ofPaging(alarmsAfter(9, {}))).toEqual(rings)
    expect(ofPaging(alarmsAfter(5, { ProbeFailures: 1 }))).toEqual(rings)
    expect(ofPaging(alarmsAfter(5, { ProbeFailures: 0 }))).toEqual([
      ['OK', false],
      // Part of it is about metrics that AWS itself publishes.
      ['NOT_EVALUATED', false],
    ])
  })

  it('is when an alarm rings, in the unit that was published, and of what it is made', () => {
    const alarms = alarmsAfter(1, { SecondsToNextKeyStep: 2_592_000 })
    const find = (id: string) => alarms.find((alarm) => alarm.id === id)
    expect(find('key-rotation-stalled')).toMatchObject({
      value: 2_592_000,
      condition: { comparison: 'LessThanOrEqualToThreshold', threshold: -86_400, unit: 'Seconds' },
      parts: [],
    })
    expect(find('kms-failing')?.parts).toEqual(['kms-failing-of-signal'])
    expect(find('availability-burn-fast')?.parts).toContain('probe-failing')
  })
})

const START = Date.UTC(2026, 10, 28, 12)

/** A line as a function prints it. */
/** What a hundred requests publish of which so many fail. */
function ofAHundred(failed: number): readonly number[] {
  return Array.from({ length: 100 }, (_, request) => (request < failed ? 1 : 0))
}

function measured(minute: number, values: Readonly<Record<string, number | readonly number[]>>): string {
  const metrics = Object.keys(values).map((Name) => ({
    Name,
    Unit: Name.startsWith('Seconds') ? 'Seconds' : 'Count',
  }))
  const published = { Namespace: 'TokenBroker', Dimensions: [['service', 'stage']], Metrics: metrics }
  const _aws = { Timestamp: START + minute * 60_000, CloudWatchMetrics: [published] }
  return JSON.stringify({ _aws, service: 'token-broker', stage: 'dev', ...values })
}
