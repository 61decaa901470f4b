import { describe, expect, it } from 'vitest'
import type { ReplayedState } from '../../lib/alarms/alarm-state.ts'
import { compositeState, suppressedActions } from '../../lib/alarms/composite-alarm.ts'
import { parseRule } from '../../lib/alarms/composite-rule.ts'

const STATES: Readonly<Record<string, ReplayedState>> = {
  bad: 'ALARM',
  good: 'OK',
  none: 'INSUFFICIENT_DATA',
  unknown: 'NOT_EVALUATED',
}
const stateOf = (rule: string) => compositeState(parseRule(rule), (alarm) => STATES[alarm] ?? 'NOT_EVALUATED')

describe('the rule of a composite alarm', () => {
  it.each<[string, ReplayedState]>([
    ['ALARM(bad)', 'ALARM'],
    ['ALARM("good")', 'OK'],
    ['OK("good")', 'ALARM'],
    ['INSUFFICIENT_DATA(none)', 'ALARM'],
    ['ALARM(none)', 'OK'],
    ['TRUE', 'ALARM'],
    ['FALSE', 'OK'],
    ['NOT ALARM(bad)', 'OK'],
    ['NOT (ALARM(good) OR FALSE)', 'ALARM'],
    ['ALARM(bad) AND OK(good) AND INSUFFICIENT_DATA(none)', 'ALARM'],
    ['ALARM(good) OR ALARM(none) OR ALARM(bad)', 'ALARM'],
    ['(ALARM(bad) OR FALSE) AND (FALSE OR OK(good))', 'ALARM'],
    ['AT_LEAST(2, ALARM, (bad, good, bad))', 'ALARM'],
    ['AT_LEAST(2, ALARM, (bad, good, none))', 'OK'],
    ['AT_LEAST(50%, NOT OK, (bad, good, none))', 'ALARM'],
  ])('%s is %s', (rule, state) => {
    expect(stateOf(rule)).toBe(state)
  })

  it.each<[string, ReplayedState]>([
    ['ALARM(unknown)', 'NOT_EVALUATED'],
    ['NOT ALARM(unknown)', 'NOT_EVALUATED'],
    ['ALARM(unknown) OR ALARM(bad)', 'ALARM'],
    ['ALARM(unknown) OR ALARM(good)', 'NOT_EVALUATED'],
    ['ALARM(unknown) AND ALARM(bad)', 'NOT_EVALUATED'],
    ['ALARM(unknown) AND ALARM(good)', 'OK'],
    ['AT_LEAST(2, ALARM, (bad, unknown, bad))', 'ALARM'],
    ['AT_LEAST(2, ALARM, (bad, unknown, good))', 'NOT_EVALUATED'],
  ])('%s is %s: what is not known never passes for OK', (rule, state) => {
    expect(stateOf(rule)).toBe(state)
  })

  it.each([
    '',
    'ALARM',
    'ALARM()',
    'ALARM(a',
    'ALARM(a) ALARM(b)',
    'ALARM(a) XOR ALARM(b)',
    'ALARM(a) AND',
    'AND ALARM(a)',
    'BROKEN(a)',
    '"ALARM"(a)',
    'ALARM(a) )',
    'AT_LEAST(3, ALARM, (a, b))',
    'AT_LEAST(0, ALARM, (a, b))',
    'AT_LEAST(x, ALARM, (a, b))',
    'ALARM("a',
    'ALARM(a) AND ALARM(b) OR ALARM(c)',
    `${'('.repeat(60)}TRUE${')'.repeat(60)}`,
    `${'NOT '.repeat(60)}TRUE`,
    Array.from({ length: 101 }, (_, at) => `ALARM(a${at})`).join(' OR '),
    `ALARM(${'a'.repeat(20_000)})`,
  ])('%s is refused', (rule) => {
    expect(() => parseRule(rule)).toThrow(/unexpected text|need parentheses|nested|longer|more than|AT_LEAST/)
  })
})

/** One character a minute: A for ALARM, o for OK. */
const timeline = (text: string): readonly ReplayedState[] =>
  text.split('').map((one) => (one === 'A' ? 'ALARM' : 'OK'))

describe('a composite alarm that another keeps quiet, as in the examples of CloudWatch’s user guide', () => {
  it.each([
    ['1: after the wait period', 'ooAAAAA', 'ooooooo', ['4 ALARM']],
    ['2: before the wait period is over', 'ooAAAAA', 'oooAAAA', []],
    ['3: it returns during the wait period', 'ooAoooo', 'ooooooo', ['5 OK']],
    ['4: the other one rings already', 'ooAAAAA', 'oAAAAAA', []],
    ['5: after the extension period', 'ooAAAAAAAAAA', 'oooAAAoooooo', ['9 ALARM']],
    ['6: it returns during the extension period', 'ooAAAAAooooo', 'oooAAAoooooo', ['9 OK']],
  ])('%s', (_name, own, other, expected) => {
    const taken = suppressedActions(timeline(own), timeline(other), {
      alarm: 'other',
      waitPeriod: 2,
      extensionPeriod: 3,
    })
    const found = taken.map(({ minute, state }) => `${minute} ${state}`)
    expect(found).toEqual(expected)
  })

  it('acts at once where there is nothing to wait for', () => {
    const quick = { alarm: 'other', waitPeriod: 0, extensionPeriod: 0 }
    const taken = suppressedActions(timeline('oAAoo'), timeline('ooooo'), quick)
    expect(taken.map(({ minute, state }) => `${minute} ${state}`)).toEqual(['1 ALARM', '3 OK'])
  })
})
