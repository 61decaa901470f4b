import { execFile } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Console } from '../../lib/local/console/console.ts'
import { type Synthesis, synthesize } from '../../lib/local/synthesize.ts'
import { LEDGER, PAYMENTS, startTestCloud, type TestCloud } from '../support/cloud.ts'
import { type PolicyWithClients, policyWithClients } from '../support/policy-with-clients.ts'

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) =>
  existsSync(path),
)
/** Nothing but the page: no calls home, no first-run tab. */
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
const MARKUP = '<img src=x onerror=alert(1)>'
const IMAGES = 'docs/images'
const VIEWPORT = { width: 1200, height: 760 }
const SECTIONS = ['exchanges', 'try', 'policy', 'keys', 'on-call', 'iam']

let broker: TestCloud
let policy: PolicyWithClients
let synthesis: Synthesis
let browser: Browser
let page: Page
/** What the browser asked for, and what went wrong in it. */
const asked: string[] = []
const problems: string[] = []

async function open(hash: string): Promise<void> {
  await page.goto(`${broker.url}/console#/${hash}`)
  await page.getByRole('heading', { level: 1 }).waitFor()
}

/** Written into the documents when that is asked for: they are to be looked at by somebody. */
async function screenshot(name: string): Promise<void> {
  if (process.env['UPDATE_SCREENSHOTS'] === undefined) return
  mkdirSync(IMAGES, { recursive: true })
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    await inPage('scrollTo(0, 0)')
    // Charts are painted anew when the colours change.
    await inPage('new Promise((painted) => setTimeout(painted, 250))')
    await page.screenshot({ path: join(IMAGES, `console-${name}-${colorScheme}.png`) })
  }
}

/**
 * The bands of the latency heat map of which nothing is to be seen, though the last minute has something of them: by the
 * colour of each in the legend.
 */
const UNPAINTED_BANDS = `(() => {
  const panel = [...document.querySelectorAll('section')].find((it) => it.ariaLabel.startsWith('Latency heat map'))
  const canvas = panel?.querySelector('canvas')
  if (!canvas) return ['nothing is drawn']
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
  const painted = new Set()
  for (let at = 0; at < data.length; at += 4)
    painted.add('#' + [0, 1, 2].map((part) => data[at + part].toString(16).padStart(2, '0')).join(''))
  const bands = [...panel.querySelectorAll('.legend li:has(rect)')].map((item) => ({
    label: item.textContent.trim(),
    part: Number(item.textContent.split(': ').at(-1)),
    color: item.querySelector('rect').getAttribute('fill'),
  }))
  if (!bands.some(({ part }) => part > 5)) return ['there is no band']
  return bands.filter(({ part, color }) => part > 5 && !painted.has(color)).map(({ label }) => label)
})()`

/** As text: the types of a browser are not those of the tests. */
const inPage = <T = unknown>(script: string): Promise<T> => page.evaluate<T>(script)
const byName = (role: 'button' | 'link', name: string) => page.getByRole(role, { name, exact: true })
const text = (content: string | RegExp) => page.getByText(content).first()

describe.skipIf(CHROMIUM === undefined)('the console in a browser', () => {
  beforeAll(async () => {
    policy = await policyWithClients()
    synthesis = synthesize({ policyFolder: policy.folder })
    const { assemblyFolder, policy: compiled } = synthesis
    const console = new Console({
      assemblyFolder,
      policy: compiled,
      warnings: [`policy/grants.yaml:1:1 ${MARKUP}`],
    })
    broker = await startTestCloud({ assemblyFolder, issuers: compiled.issuers, ...console.listeners })
    console.serve(broker.cloud)
    // Its contexts keep nothing: no bubble that offers to save a secret is in the way.
    browser = await chromium.launch({ executablePath: CHROMIUM ?? '', args: FLAGS })
    page = await browser.newPage({ viewport: VIEWPORT, permissions: ['clipboard-read', 'clipboard-write'] })
    page.setDefaultTimeout(60_000)
    page.on('request', (request) => void asked.push(request.url()))
    page.on('pageerror', (error) => void problems.push(error.message))
    page.on('console', (message) => {
      // A refused exchange is an answer like any other; browsers log its status as an error.
      if (message.type() === 'error' && !/status of (400|401|404|503)|ERR_FAILED/.test(message.text()))
        problems.push(message.text())
    })
    page.on('dialog', (dialog) => {
      problems.push(`dialog: ${dialog.message()}`)
      void dialog.dismiss()
    })
  })
  afterAll(async () => {
    await browser.close()
    await broker.close()
    synthesis.dispose()
    policy.dispose()
  })

  afterEach(() => broker.cloud.aws.faults.clear())

  it('shows its page soon after the broker is ready', async () => {
    const startedAt = performance.now()
    await open('exchanges')
    // Measured, not judged: the machine may be busy.
    process.stdout.write(
      `console shown ${Math.round(performance.now() - startedAt)} ms after it was asked for\n`,
    )
    await text('live').waitFor()
    expect(await page.title()).toBe('Exchanges · token-broker console')
  })

  it('shows an exchange and a refusal as they happen, and how each was decided', async () => {
    await open('exchanges')
    await broker.exchange(await broker.sign({ preset: 'gitlab' }), { audience: LEDGER })
    const refused = await broker.sign({ preset: 'github-actions', claims: { ref: 'refs/pull/7/merge' } })
    await broker.exchange(refused, { audience: PAYMENTS })
    await broker.exchange(await broker.sign({ preset: 'github-actions' }), { audience: PAYMENTS })
    const rows = page.locator('tbody tr')
    await rows.nth(2).waitFor()
    await page.locator('tr', { hasText: 'no_grant_matches' }).getByRole('link').click()
    await text(
      'payments-ci: ref must be "refs/heads/main" or like "refs/tags/v*", found "refs/pull/7/merge"',
    ).waitFor()
    await page.locator('tr', { hasText: 'payments-ci' }).getByRole('link').first().click()
    await text('recorded: this use is the first').waitFor()
    await text('nothing is revoked').waitFor()
    for (const call of ['kms:Sign', 'dynamodb:PutItem', 'dynamodb:BatchGetItem'])
      await page.locator('.waterfall text', { hasText: call }).waitFor()
    const issued = await page.getByLabel('claims of the new token').textContent()
    expect(JSON.parse(issued ?? '')).toMatchObject({ iss: broker.url, aud: PAYMENTS, grant: 'payments-ci' })
    await screenshot('exchanges')
  })

  it('says that the broker is away, and finds it again', async () => {
    const feed = '**/console/api/feed'
    // What a broker answers that is not up again yet: after it, browsers do not try again by themselves.
    await page.route(feed, (route) =>
      route.fulfill({ status: 503, body: '{"message":"Service Unavailable"}' }),
    )
    await open('exchanges')
    await page.reload()
    await text(/^not connected/).waitFor()
    await page.unroute(feed)
    await text(/^live/).waitFor()
    const monitoring = '**/console/api/monitoring'
    await page.route(monitoring, (route) => route.abort())
    await open('on-call')
    await text('The broker does not answer. Is npm start still running?').waitFor()
    await page.unroute(monitoring)
    await page.getByRole('region', { name: 'Alarms' }).waitFor()
    expect(await page.getByRole('alert').count()).toBe(0)
  })

  it('tries an exchange, verifies it, and sees what is left after a revocation', async () => {
    await open('try')
    await page.getByLabel('Whose token').selectOption('payments-ci: allowed')
    await byName('button', 'Exchange').click()
    await text(/verified in this page: signed RS256/).waitFor()
    await byName('button', 'Replay it').click()
    await text('token_replayed').waitFor()
    await byName('button', 'Exchange').click()
    await text(/verified in this page: signed RS256/).waitFor()
    await byName('button', 'Exchange it onward for').click()
    await page.locator('.tree').getByText('receipts-api').waitFor()
    await page
      .locator('.tree li', { hasText: 'payments-api' })
      .getByRole('button', { name: /^revoke/ })
      .first()
      .click()
    await expect.poll(() => page.locator('.tree .dead').count()).toBe(2)
    await expect.poll(() => inPage('document.activeElement.textContent')).toMatch(/^Revoked/)
    await screenshot('try')
  })

  it('introspects a token as a registered client, if its secret is right, and says how to register one', async () => {
    await open('try')
    await page.reload()
    await page.getByLabel('Whose token').selectOption('payments-worker: allowed')
    await byName('button', 'Exchange').click()
    await text(/verified in this page: signed RS256/).waitFor()
    await page.getByLabel('client', { exact: true }).selectOption('test-secret')
    await page.getByLabel('client secret').fill(policy.secret)
    await byName('button', 'Introspect it as').click()
    const answer = page.getByLabel('answer to the introspection')
    await expect.poll(() => answer.textContent()).toContain('"active": true')
    await page.getByLabel('client secret').fill(`${policy.secret.slice(0, -1)}%`)
    await byName('button', 'Introspect it as').click()
    await expect.poll(() => answer.textContent()).toContain('invalid_client')
    await page.getByLabel('Whose token').selectOption('ledger-ci: allowed')
    await byName('button', 'Exchange').click()
    await text(/no client of this policy may introspect/).click()
    await text(/introspects: \[ledger-api\]/).waitFor()
  })

  it('says before it is refused that a target asks for more than this page has', async () => {
    const choices = '**/console/api/try'
    await page.route(choices, async (route) => {
      const response = await route.fetch()
      const { targets, ...rest } = (await response.json()) as { targets: object[] }
      const bound = targets.map((target) => ({ ...target, binding: 'dpop' }))
      await route.fulfill({ response, json: { ...rest, targets: bound } })
    })
    await open('try')
    await page.reload()
    const said = text(/are bound to a key, which a DPoP proof shows/)
    await said.waitFor()
    await page.unroute(choices)
    await page.reload()
    await byName('button', 'Exchange').waitFor()
    expect(await said.count()).toBe(0)
  })

  it('hands out a curl line that works', async () => {
    await open('try')
    await page.reload()
    await page.getByLabel('Whose token').selectOption('payments-worker: allowed')
    await byName('button', 'Copy as curl').click()
    const line = await inPage<string>('navigator.clipboard.readText()')
    const { stdout } = await promisify(execFile)('bash', ['-c', line])
    expect(JSON.parse(stdout)).toMatchObject({ token_type: 'Bearer' })
  })

  it('shows the policy, and explains claims', async () => {
    await open('policy')
    await text(/^Grants \(\d+\)/).waitFor()
    await page.getByLabel('filter the grants').fill('receipts ci')
    await text(/^Grants \(1 of \d+\)/).waitFor()
    await text('and an actor of gitlab').waitFor()
    const claims = { iss: 'https://gitlab.com', project_id: '4242', ref_protected: 'false' }
    const times = { iat: Math.floor(Date.now() / 1000), exp: Math.floor(Date.now() / 1000) + 60 }
    await page
      .getByLabel('Claims of a token, as JSON')
      .fill(JSON.stringify({ ...claims, ...times, sub: MARKUP, aud: 'https://broker.example.com' }))
    await page.getByLabel(/Audience of the request/).fill(LEDGER)
    await byName('button', 'Explain').click()
    await text('no grant matches').waitFor()
    const explanation = JSON.parse((await page.getByLabel('explanation').textContent()) ?? '')
    expect(explanation).toMatchObject({ candidates: [{ grant: 'ledger-ci', mismatch: { found: 'false' } }] })
  })

  it('shows the keys, and lets the next ones take over', async () => {
    await open('keys')
    const active = page.locator('tr', { hasText: 'active' }).locator('code')
    const before = await active.allTextContents()
    await byName('button', 'Rotate now…').click()
    await text(/becomes active: it proves itself in KMS/).waitFor()
    await byName('button', 'Do it').click()
    await text(/^Rotated/).waitFor()
    await expect.poll(() => active.allTextContents()).not.toEqual(before)
    await byName('button', 'Take the steps that are due').click()
    await text('Every step that was due is taken.').waitFor()
  })

  it('shows what each role allows, and what this run has used of it', async () => {
    await open('iam')
    const role = page.getByRole('region', { name: 'ExchangeFunction' })
    await role.locator('tr', { hasText: 'kms:Sign' }).getByText('used', { exact: true }).waitFor()
    await page.getByLabel('unused only').check()
    await expect.poll(() => role.getByText('used', { exact: true }).count()).toBe(0)
  })

  it('shows the dashboards and alarms, and lets something go wrong', async () => {
    await open('on-call')
    const exchange = async () =>
      broker.exchange(await broker.sign({ preset: 'kubernetes' }), { audience: PAYMENTS })
    const fault = page.getByRole('button', { name: /^KMS throttles every signature/ })
    await fault.click()
    await expect.poll(() => fault.getAttribute('aria-pressed')).toBe('true')
    expect((await exchange()).status).toBe(503)
    await page
      .getByRole('listitem')
      .filter({ hasText: /^\s*KMS: [1-9]/ })
      .waitFor()
    const alarm = page.locator('.alarms tr', { hasText: 'kms-failing' })
    await alarm.getByRole('cell', { name: 'ticket' }).waitFor()
    await alarm.getByRole('button', { name: 'kms-failing' }).click()
    await page.locator('.alarms tr', { hasText: 'kms-failing-of-signal' }).getByText('≥ 1').waitFor()
    expect(await page.locator('.chart canvas').count()).toBeGreaterThan(3)
    await screenshot('on-call')
    await fault.click()
    await expect.poll(() => fault.getAttribute('aria-pressed')).toBe('false')
    expect((await exchange()).status).toBe(200)
    await page.getByLabel('executive').check()
    await text('How much the broker does, in all of the time that is shown').waitFor()
  })

  it('draws each band of the latency heat map as high as it is', async () => {
    await open('on-call')
    await page.getByRole('radio', { name: 'on-call' }).check()
    // The first of a run is a cold start, which is not timed.
    const unpainted = async () => {
      await broker.exchange(await broker.sign({ preset: 'kubernetes' }), { audience: PAYMENTS })
      return inPage<string[]>(UNPAINTED_BANDS)
    }
    await expect.poll(unpainted, { timeout: 20_000, interval: 500 }).toEqual([])
  })

  it('says in which unit a chart is, and rounds no hour away of when an alarm rings', async () => {
    await open('on-call')
    await page.getByRole('radio', { name: 'on-call' }).check()
    await page.getByRole('region', { name: 'Latency heat map' }).getByText('% of answers').waitFor()
    const rings = page.getByRole('row', { name: 'key-too-old' }).getByRole('cell').nth(3)
    await expect.poll(() => rings.textContent()).toBe('≥ 25 h')
  })

  it('can be used by keyboard, and goes straight to the content', async () => {
    await open('exchanges')
    await page.reload()
    await page.getByRole('heading', { level: 1 }).waitFor()
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    expect(await inPage('document.activeElement.tagName')).toBe('H1')
    await page.getByRole('link', { name: 'Keys' }).focus()
    const outline = await inPage('getComputedStyle(document.activeElement).outlineStyle')
    expect(outline).toBe('solid')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { level: 1, name: 'Signing keys' }).waitFor()
    expect(await page.getByRole('link', { name: 'Keys' }).getAttribute('aria-current')).toBe('page')
  })

  it('shows where the focus is, and lets it out again, in every section', async () => {
    for (const section of SECTIONS) {
      await open(section)
      await page.reload()
      await page.getByRole('heading', { level: 1 }).waitFor()
      await page.waitForLoadState('load')
      const seen = await tabThrough()
      expect(seen.filter(({ isSeen }) => !isSeen)).toEqual([])
      // The first is focused again after the last.
      expect([section, seen.at(-1)?.name]).toEqual([section, seen[0]?.name])
    }
  })

  /** Presses Tab until the focus is back where it began. */
  async function tabThrough(): Promise<{ readonly name: string; readonly isSeen: boolean }[]> {
    const seen: { readonly name: string; readonly isSeen: boolean }[] = []
    while (seen.length < 200 && (seen.length < 2 || seen.at(-1)?.name !== seen[0]?.name)) {
      await page.keyboard.press('Tab')
      const focused = await inPage<(typeof seen)[number] | undefined>(`(() => {
        const { activeElement: it } = document
        if (it === document.body) return undefined
        const { outlineStyle } = getComputedStyle(it)
        return { name: it.tagName + ' ' + it.textContent.slice(0, 40), isSeen: outlineStyle !== 'none' }
      })()`)
      if (focused !== undefined) seen.push(focused)
    }
    return seen
  }

  it('fits a narrow window: nothing scrolls sideways', async () => {
    await page.setViewportSize({ width: 480, height: 800 })
    for (const section of SECTIONS) {
      await open(section)
      await page.locator('main .panel, main .list').first().waitFor()
      expect([section, await inPage('document.documentElement.scrollWidth')]).toEqual([section, 480])
    }
    await page.setViewportSize(VIEWPORT)
  })

  it('is light or dark as the system is, or as somebody wants it', async () => {
    await open('policy')
    const ground = () => inPage('getComputedStyle(document.body).backgroundColor')
    await page.emulateMedia({ colorScheme: 'dark' })
    const dark = await ground()
    await page.emulateMedia({ colorScheme: 'light' })
    const light = await ground()
    expect(dark).not.toBe(light)
    await page.getByRole('button', { name: /^Theme/ }).click()
    await page.emulateMedia({ colorScheme: 'dark' })
    await expect.poll(ground).toBe(light)
    await page.reload()
    await expect.poll(ground).toBe(light)
    await page.getByRole('button', { name: /^Theme/ }).click()
    await expect.poll(ground).toBe(dark)
  })

  it('shows markup in claims as text, in every section', async () => {
    const claims = { ref: `${MARKUP}\u202e`, repository_id: MARKUP, repository: MARKUP, sha: MARKUP }
    const asGithub = await broker.sign({ preset: 'github-actions', claims: { ...claims, sub: MARKUP } })
    const refused = await broker.exchange(asGithub, { audience: MARKUP, scope: MARKUP })
    const good = { sha: MARKUP, repository: MARKUP, sub: `repo:${MARKUP}` }
    const granted = await broker.exchange(await broker.sign({ preset: 'github-actions', claims: good }), {
      audience: PAYMENTS,
    })
    expect(granted.status).toBe(200)
    const actor = { preset: 'kubernetes', claims: { sub: MARKUP } }
    const acted = await broker.exchange(await broker.sign({ preset: 'gitlab' }), {
      audience: LEDGER,
      actor_token: await broker.sign(actor),
      actor_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    })
    const ids = [refused, granted, acted].map(({ headers }) => headers.get('x-correlation-id') ?? '')
    for (const section of [...ids.map((id) => `exchanges/${id}`), 'policy', 'keys', 'iam', 'on-call'])
      await seenAsText(section)
    await open(`exchanges/${ids[0]}`)
    // A character that would have the rest of the line shown backwards is shown itself.
    await page.getByLabel('claims of the subject token').getByText('\\u202e').waitFor()
    await open('try')
    await page.getByLabel('Whose token').selectOption('payments-ci: allowed')
    await page
      .getByLabel(/Its claims/)
      .fill(JSON.stringify({ ...good, ref: 'refs/heads/main', repository_id: '123456' }))
    await byName('button', 'Exchange').click()
    const issued = page.getByLabel('claims of the new token')
    await issued.getByText(MARKUP).first().waitFor()
    await text('curl').click()
    expect(await page.locator('#app img').count()).toBe(0)
  })

  async function seenAsText(section: string): Promise<void> {
    await open(section)
    await page.waitForLoadState('load')
    if (section.startsWith('exchanges') || section === 'policy') await text(MARKUP).waitFor()
    expect(await page.locator('#app img').count()).toBe(0)
  }

  it('answers clicks during and after a burst of 1,000 exchanges', async () => {
    await open('exchanges')
    const token = await broker.sign({ preset: 'aws-outbound' })
    // Four of five are refused, which costs this machine less; to the page they are all the same.
    const one = async (count: number) =>
      (await broker.exchange(token, { audience: count % 5 === 0 ? LEDGER : 'https://nobody.example' })).status
    const lanes = Array.from({ length: 8 }, async () => {
      const statuses: number[] = []
      for (let count = 0; count < 125; count++) statuses.push(await one(count))
      return statuses
    })
    const burst = Promise.all(lanes)
    await page.getByRole('link', { name: 'Keys' }).click()
    await page.getByRole('heading', { level: 1, name: 'Signing keys' }).waitFor()
    await page.getByRole('link', { name: 'Exchanges' }).click()
    await byName('button', 'Pause').click()
    await byName('button', 'Go on').waitFor()
    const answered = (await burst).flat().filter((status) => status !== 400)
    expect(answered).toHaveLength(200)
    // Whatever the page shows, a machine that is too busy may answer a few of them 503.
    expect(answered.filter((status) => status !== 503).length).toBeGreaterThan(100)
    expect(new Set(answered.filter((status) => status !== 503))).toEqual(new Set([200]))
    await byName('button', 'Go on').click()
    await expect.poll(() => page.locator('.list tbody tr').count()).toBe(150)
    // Counted are also those that came too fast to be listed.
    await text(/^live · 1\d{3} requests$/).waitFor()
    await page.getByRole('link', { name: 'IAM' }).click()
    await page.getByRole('heading', { level: 1, name: 'What each function may do' }).waitFor()
  })

  it('has asked nobody but the broker, and nothing went wrong', () => {
    expect(asked.filter((url) => !url.startsWith(broker.url) && !url.startsWith('data:'))).toEqual([])
    expect(problems).toEqual([])
    expect(broker.defects).toEqual([])
  })
})

it.skipIf(CHROMIUM !== undefined)(
  'needs Chromium: apt-get install chromium, and the console is tested in it',
  () => {
    expect(CHROMIUM).toBe(undefined)
  },
)
