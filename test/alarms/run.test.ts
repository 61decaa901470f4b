import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { runAlarms, scenarioNames } from '../../lib/alarms/run.ts'
import { MemoryTerminal } from '../cli/memory-terminal.ts'
import { appAlarms } from './app.ts'

const FOLDER = mkdtempSync(join(tmpdir(), 'alarms-'))
afterAll(() => rmSync(FOLDER, { recursive: true, force: true }))

const app = appAlarms()

function run(...args: readonly string[]) {
  const terminal = new MemoryTerminal()
  const code = runAlarms(args, { terminal, app: () => app })
  return { code, out: terminal.outText.trimEnd(), err: terminal.errText.trimEnd() }
}

function file(name: string, text: string): string {
  const path = join(FOLDER, name)
  writeFileSync(path, text)
  return path
}

describe('npm run alarms', () => {
  it('tells what rings and whom it calls, and draws it', () => {
    const svg = join(FOLDER, 'outage.svg')
    const { code, out } = run('outage', '--svg', svg)
    expect(code).toBe(0)
    expect(out).toMatch(/^ {2}31 min +1 h 5 min +availability-burn-fast$/m)
    expect(out).toMatch(/^ {2}31 min +page +availability-burn-fast +ALARM$/m)
    expect(out).toMatch(/ rings, 1 page, 0 tickets$/)
    const drawn = readFileSync(svg, 'utf8')
    expect(drawn).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/)
    for (const shown of ['Everything fails', 'availability-burn-fast', 'Requests a minute', 'Burn rate'])
      expect(drawn).toContain(shown)
    expect(drawn).not.toMatch(/<script|href|onload|NaN|undefined/)
  })

  it('prints JSON for machines', () => {
    const { code, out } = run('outage', '--json')
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({
      messages: [
        { minute: 31, to: 'page', alarm: 'availability-burn-fast', state: 'ALARM' },
        { minute: 65, to: 'page', alarm: 'availability-burn-fast', state: 'OK' },
      ],
      unexpected: [],
    })
  })

  it('says that windows of maintenance are not replayed', () => {
    const terminal = new MemoryTerminal()
    runAlarms(['outage'], { terminal, app: () => ({ ...app, maintenanceWindows: 2 }) })
    expect(terminal.outText).toMatch(/^ +2 maintenance windows +calls are told as outside of them$/m)
  })

  it('synthesizes the app by itself', () => {
    const terminal = new MemoryTerminal()
    expect(runAlarms(['outage'], { terminal })).toBe(0)
    expect(terminal.outText).toMatch(/page +availability-burn-fast/)
  })

  it('fails where it is not as the scenario expects, and says what', () => {
    const path = file(
      'wrong.yaml',
      'title: <b>"a" & b</b>\nabout: a\nlasts: 2h\nincidents: [{at: 1h, failed: 50%}]\nexpect: {ticket: [latency-burn-slow]}',
    )
    const svg = join(FOLDER, 'wrong.svg')
    const { code, out } = run(path, '--svg', svg)
    expect(code).toBe(1)
    expect(out).toContain('unexpected: a page by availability-burn-fast that was not expected')
    expect(out).toContain('unexpected: no ticket by latency-burn-slow')
    const drawn = readFileSync(svg, 'utf8')
    expect(drawn).toContain('&lt;b&gt;&quot;a&quot; &amp; b&lt;/b&gt;')
    // As many as were asked, of which half fail.
    expect(drawn).toMatch(/>600<\/text>/)
  })

  it('replays what a run has published, and says what it cannot know', () => {
    const timestamp = 1_770_000_000_000
    const lines = Array.from({ length: 600 }, (_, at) =>
      JSON.stringify({
        _aws: {
          Timestamp: timestamp + at * 1000,
          CloudWatchMetrics: [
            {
              Namespace: 'TokenBroker',
              Dimensions: [['service', 'stage']],
              Metrics: [{ Name: 'Failed', Unit: 'Count' }],
            },
          ],
        },
        service: 'token-broker',
        stage: 'dev',
        Failed: 1,
      }),
    )
    const { code, out } = run('--emf', file('run.log', lines.join('\n')), '--after', '2h')
    expect(code).toBe(0)
    expect(out).toMatch(/page +availability-burn-fast +ALARM/)
    expect(out).toMatch(/gateway-burn-1h +it looks at alarms that were not evaluated/)
    expect(out).toMatch(/nothing is known of AWS\/ApiGateway/)
  })

  it.each([
    [[], 'say which scenario'],
    [['a', 'b'], 'one scenario at a time'],
    [['outage', '--emf', 'x'], 'a scenario or --emf, not both'],
    [['outage', '--after', '1h'], '--after is for --emf'],
    [['--emf', 'x', '--after', 'soon'], '--after soon'],
    [['outage', '--frob'], '--frob'],
  ])('%j is wrong usage', (args, message) => {
    const { code, err } = run(...args)
    expect([code, err]).toEqual([2, expect.stringContaining(message)])
    expect(err).toContain('Example: npm run alarms -- outage')
  })

  it.each([
    [['nowhere'], 'nowhere: cannot be read; --help lists the scenarios'],
    [['--emf=nowhere'], 'nowhere: cannot be read; npm start -- --emf FILE writes one'],
    [['outage', '--svg=nowhere/a.svg'], 'nowhere/a.svg: cannot be written; name another file'],
  ])('%j fails in one line', (args, message) => {
    expect(run(...args)).toMatchObject({ code: 1, err: message })
  })

  it('lists its scenarios in its help', () => {
    const { code, out } = run('--help')
    expect(code).toBe(0)
    for (const name of scenarioNames()) expect(out).toContain(name)
  })
})
