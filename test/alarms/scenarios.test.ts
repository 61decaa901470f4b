import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { metricsRead } from '../../lib/alarms/metric-alarm.ts'
import { replayAlarms } from '../../lib/alarms/replay.ts'
import { reportOf } from '../../lib/alarms/report.ts'
import { SCENARIOS, scenarioNames } from '../../lib/alarms/run.ts'
import { parseScenario, readScenario } from '../../lib/alarms/scenario.ts'
import { checkNames, ScenarioMetrics, WARM_UP_MINUTES } from '../../lib/alarms/scenario-metrics.ts'
import { statisticOver } from '../../lib/alarms/statistic.ts'
import { appAlarms } from './app.ts'

const app = appAlarms()

describe('the scenarios that come with the project', () => {
  it.each(scenarioNames())('%s calls whom it says, once each, and nobody else', (name) => {
    const scenario = readScenario(join(SCENARIOS, `${name}.yaml`))
    expect(scenario.expect).toBeDefined()
    checkNames(scenario, app)
    const replay = replayAlarms(app.alarms, new ScenarioMetrics(scenario))
    const { title, about, expect: expected } = scenario
    const report = reportOf(replay, app, { title, about, expect: expected, warmUp: WARM_UP_MINUTES })
    expect(report.unexpected).toEqual([])
  })
})

it('the picture in the documents shows alarms that are there', () => {
  const picture = readFileSync('docs/scenarios/kms-down.svg', 'utf8')
  const shown = [...picture.matchAll(/text-anchor="end" font-weight[^>]*>([^<]+)</g)].map(([, id = '']) => id)
  expect(shown).toContain('kms-failing')
  const known = app.alarms.map(({ name }) => app.idOf(name))
  expect(shown.filter((id) => !known.includes(id))).toEqual([])
})

const TEXT = readFileSync(join(SCENARIOS, 'outage.yaml'), 'utf8')

describe('a scenario file', () => {
  it.each([
    [
      'an unknown key',
      'failed: 100%',
      'fails: 100%',
      /^outage\.yaml:5:24 incidents\[0\]\.fails: found the unknown key/,
    ],
    [
      'a number for a part',
      'failed: 100%',
      'failed: 1',
      /^outage\.yaml:5:24 .*found 1; allowed: a part of all/,
    ],
    ['more than all', '100%', '101%', /a part of all/],
    ['a time without a unit', 'at: 30m', 'at: 30', /^outage\.yaml:5:6 .*a time such as 5m/],
    ['a time that is too long', 'lasts: 8h', 'lasts: 99d', /at most 60 days/],
    ['no time to last', 'lasts: 8h', 'lasts: 0m', /^outage\.yaml:3:1 lasts: .*more than none/],
    ['an incident of no time', 'for: 5m', 'for: 0h0m', /^outage\.yaml:5:15 .*more than none/],
    [
      'a rhythm of no time',
      'failed: 100%',
      'metrics: {Failed: {value: 1, every: 0m}}',
      /^outage\.yaml:5:53 .*every: found "0m"; allowed: a time such as .*more than none/,
    ],
    ['an incident after the end', 'at: 30m', 'at: 8h', /^outage\.yaml:5:6 .*a time before the scenario ends/],
    [
      'nights without an hour',
      'incidents:',
      'nights: {from: 6, until: 6, requests: 5}\nincidents:',
      /^outage\.yaml:4:1 nights: .*two hours that differ/,
    ],
    ['no title', /^title: .*\n/, '', /title: found nothing/],
    ['invalid YAML', '{at', '{{at', /^outage\.yaml:5:6: found a \{ that is not closed/],
    ['an alias', '100%', '*all', /found an alias/],
    ['the key __proto__', 'failed: 100%', '__proto__: 1', /__proto__/],
  ])('with %s is refused with file, line and column', (_name, from, to, message) => {
    expect(() => parseScenario('outage.yaml', TEXT.replace(from, to))).toThrow(message)
  })

  it('that names a metric that no alarm reads, or an alarm that is not there, is refused', () => {
    const metric = TEXT.replace('failed: 100%', 'metrics: {Faild: 1}')
    expect(() => checkNames(parseScenario('a.yaml', metric), app)).toThrow('metrics.Faild: no alarm reads it')
    const alarm = TEXT.replace('availability-burn-fast', 'availability')
    expect(() => checkNames(parseScenario('a.yaml', alarm), app)).toThrow('there is no alarm availability')
  })

  it('that is not there is refused', () => {
    expect(() => readScenario('nowhere.yaml')).toThrow(
      'nowhere.yaml: cannot be read; --help lists the scenarios',
    )
  })
})

describe('what is published in a scenario', () => {
  const metric = (name: string) => {
    const all = app.alarms.flatMap((alarm) => (alarm.kind === 'metric' ? metricsRead(alarm) : []))
    const found = all.find((one) => one.namespace === 'TokenBroker' && one.name === name)
    if (found === undefined) throw new Error(`no alarm reads ${name}`)
    return found
  }
  /** What is published of failures in each of the first minutes after the warm-up. */
  const published = (statistic: 'Sum' | 'SampleCount', text: string, minutes: number) => {
    const metrics = new ScenarioMetrics(parseScenario('a.yaml', `title: a\nabout: a\nlasts: 1h\n${text}`))
    const series = metrics.series(metric('Failed')) ?? []
    return [...statisticOver(statistic, series, 1).slice(WARM_UP_MINUTES, WARM_UP_MINUTES + minutes)]
  }
  const failures = (text: string, minutes = 4) => published('Sum', text, minutes)
  const requests = (text: string, minutes = 4) => published('SampleCount', text, minutes)

  it('is what a healthy broker publishes, until an incident says otherwise, and after it', () => {
    const half = 'incidents: [{at: 1m, for: 2m, failed: 50%}]'
    expect(failures(half)).toEqual([0.12, 300, 300, 0.12])
    expect(requests(half)).toEqual([600, 600, 600, 600])
    expect(requests('incidents: [{at: 1m, for: 2m, requests: 0}]')).toEqual([600, NaN, NaN, 600])
    expect(requests('background: {requests: 10}', 1)).toEqual([10])
  })

  it('can be said metric by metric, in its own rhythm', () => {
    expect(failures('incidents: [{at: 1m, for: 1m, metrics: {Failed: 7}}]')).toEqual([0.12, 7, 0.12, 0.12])
    expect(failures('incidents: [{at: 0m, metrics: {Failed: none}}]', 1)).toEqual([NaN])
    const everyOther = 'background: {metrics: {Failed: {value: 2, times: 3, every: 2m}}}'
    expect(failures(everyOther)).toEqual([6, NaN, 6, NaN])
    expect(requests(everyOther)).toEqual([3, NaN, 3, NaN])
  })

  it('is less at night', () => {
    const night = 'starts: 2026-03-02T05:58:00Z\nnights: {from: 22, until: 6, requests: 5}'
    expect(requests(night)).toEqual([5, 5, 600, 600])
  })

  it('is the same for the same seed, whole, and about as much', () => {
    const drawn = requests('seed: 1', 60)
    expect(drawn).toEqual(requests('seed: 1', 60))
    expect(drawn).not.toEqual(requests('seed: 2', 60))
    expect(drawn.every(Number.isInteger)).toBe(true)
    const mean = drawn.reduce((sum, one) => sum + one, 0) / drawn.length
    expect(Math.abs(mean - 600)).toBeLessThan(15)
  })
})
