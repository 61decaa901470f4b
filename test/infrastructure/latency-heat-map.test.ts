import { describe, expect, it } from 'vitest'
import { statisticOver } from '../../lib/alarms/statistic.ts'
import { latencyBands } from '../../lib/monitoring/dashboards/latency-heat-map.ts'
import { LATENCY_LIMITS } from '../../lib/monitoring-config.ts'
import { type DashboardWidget, dashboardsOf } from './dashboards.ts'
import { synthesize } from './synthesize.ts'

interface Line {
  readonly stat: string
  readonly label: string
  readonly color: string
}

function heatMapOf(config = {}): DashboardWidget {
  const widgets = dashboardsOf(synthesize(config).monitoring).get('on-call')?.widgets ?? []
  const [found, ...others] = widgets.filter(({ properties }) =>
    /^Latency heat map/.test(properties.title ?? ''),
  )
  expect(others).toEqual([])
  if (found === undefined) throw new Error('there is no heat map')
  return found
}

const linesOf = ({ properties: { metrics = [] } }: DashboardWidget) =>
  metrics.map((entry) => entry.at(-1) as Line)

/** Red is the brightest of its three, and the others are dark. */
const isRed = (color: string) => {
  const [red = 0, green = 0, blue = 0] = partsOf(color)
  return green < red / 2 && blue < red / 2
}
const partsOf = (color: string) =>
  [...color.matchAll(/[0-9a-f]{2}/g)].map(([digits]) => Number.parseInt(digits, 16))
const brightness = (color: string) => partsOf(color).reduce((sum, part) => sum + part, 0)

describe('the latency heat map', () => {
  const widget = heatMapOf()

  it('is the parts of one metric, on top of each other up to 100 %', () => {
    expect(widget.properties).toMatchObject({ stacked: true, view: 'timeSeries' })
    expect(widget.properties.yAxis?.left).toEqual({
      label: '% of answers',
      showUnits: false,
      min: 0,
      max: 100,
    })
    const names = (widget.properties.metrics ?? []).map((entry) => entry.slice(0, -1))
    for (const name of names)
      expect(name).toEqual(['TokenBroker', 'Duration', 'service', 'token-broker', 'stage', 'dev'])
  })

  it('says in milliseconds what each is', () => {
    expect(linesOf(widget).map(({ stat, label }) => [stat, label])).toEqual([
      ['PR(:25)', 'up to 25 ms'],
      ['PR(25:50)', '25 to 50 ms'],
      ['PR(50:100)', '50 to 100 ms'],
      ['PR(100:200)', '100 to 200 ms'],
      ['PR(200:400)', '200 to 400 ms'],
      ['PR(400:800)', '400 to 800 ms'],
      ['PR(800:)', 'over 800 ms'],
    ])
  })

  it('follows what the deployment calls fast', () => {
    const patient = heatMapOf({ monitoring: { latencyMilliseconds: 1500 } })
    expect(patient.properties.title).toContain('over 1500 ms')
    // Nothing takes 6000 ms and does not fail.
    expect(linesOf(patient).map(({ stat }) => stat)).toEqual([
      'PR(:188)',
      'PR(188:375)',
      'PR(375:750)',
      'PR(750:1500)',
      'PR(1500:3000)',
      'PR(3000:)',
    ])
  })
})

describe.each([LATENCY_LIMITS.shortest, 133, 200, 1500, LATENCY_LIMITS.longest])(
  'its bands, where %d ms is fast',
  (latency) => {
    const bands = latencyBands(latency)
    const borders = bands.flatMap(({ upTo }) => upTo ?? [])
    const shareOf = ({ above, upTo }: (typeof bands)[number], value: number) =>
      statisticOver(`PR(${above ?? ''}:${upTo ?? ''})`, [[{ value, count: 3 }]], 1)[0]

    it('have every duration in exactly one, and red is what is not fast', () => {
      for (const value of [0, ...borders.flatMap((at) => [at - 0.1, at, at + 0.1]), 5000, 60_000]) {
        const shares = bands.map((band) => shareOf(band, value))
        expect(
          shares.filter((share) => share === 100),
          `${value} ms`,
        ).toHaveLength(1)
        expect(
          shares.filter((share) => share === 0),
          `${value} ms`,
        ).toHaveLength(bands.length - 1)
        const color = bands[shares.indexOf(100)]?.color ?? ''
        expect(isRed(color), `${value} ms is ${color}`).toBe(value > latency)
      }
    })

    it('become darker with what they hold', () => {
      const order = bands.map(({ color }) => brightness(color))
      expect(order).toEqual(order.toSorted((one, other) => other - one))
      expect(new Set(order).size).toBe(bands.length)
    })
  },
)
