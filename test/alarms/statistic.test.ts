import { describe, expect, it } from 'vitest'
import { statisticOver } from '../../lib/alarms/statistic.ts'
import { samples, valuesAsSeries } from './template.ts'

const NONE = Number.NaN

describe('a statistic over a sliding window', () => {
  const series = [samples(1, 5), undefined, samples(3), undefined, undefined, undefined]

  it.each([
    ['Sum', [6, 6, 9, 3, 3, NONE]],
    ['SampleCount', [2, 2, 3, 1, 1, NONE]],
    ['Average', [3, 3, 3, 3, 3, NONE]],
    ['Minimum', [1, 1, 1, 3, 3, NONE]],
    ['Maximum', [5, 5, 5, 3, 3, NONE]],
    ['TC(3:)', [1, 1, 1, 0, 0, NONE]],
    ['TC(1:3)', [0, 0, 1, 1, 1, NONE]],
    ['PR(:3)', [50, 50, 66.6667, 100, 100, NONE]],
    ['PR(1:3)', [0, 0, 33.3333, 100, 100, NONE]],
    ['PR(3:)', [50, 50, 33.3333, 0, 0, NONE]],
  ])(
    '%s looks at the minutes of the window, and is missing where they have nothing',
    (statistic, expected) => {
      const found = [...statisticOver(statistic, series, 3)].map((value) => Math.round(value * 1e4) / 1e4)
      expect(found).toEqual(expected)
    },
  )

  it('takes percentiles and trimmed means by rank', () => {
    const hundred = [Array.from({ length: 100 }, (_, at) => ({ value: at + 1, count: 2 }))]
    expect([...statisticOver('p50', hundred, 1), ...statisticOver('p99', hundred, 1)]).toEqual([50, 99])
    expect([...statisticOver('p99.9', hundred, 1), ...statisticOver('p100', hundred, 1)]).toEqual([100, 100])
    expect([...statisticOver('tm90', hundred, 1)]).toEqual([45.5])
  })

  it('sees a minute leave, also where a later one is the same', () => {
    const high = samples(9)
    const low = samples(1)
    expect([...statisticOver('Maximum', [high, low, high, low, low], 2)]).toEqual([9, 9, 9, 9, 1])
  })

  it('leaves nothing behind of fractions that are over', () => {
    const fractions = Array.from({ length: 1000 }, () => 0.1)
    const sums = statisticOver('Sum', valuesAsSeries([...fractions, 0, 0]), 2)
    expect(sums.at(-1)).toBe(0)
  })

  it.each(['Median', 'p101', 'p', 'TC(:)', 'TM(10%:90%)', 'toString'])(
    'refuses %s by its name',
    (statistic) => {
      expect(() => statisticOver(statistic, [], 1)).toThrow(JSON.stringify(statistic))
    },
  )
})
