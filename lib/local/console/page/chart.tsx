import { useEffect, useRef } from 'preact/hooks'
import UPlot from 'uplot'
import type { DrawnWidget } from '../wire.ts'
import { useColours } from './theme.ts'

const HEIGHT = 170
/** Of time that is shown, however young the run is. */
const LEAST_SECONDS = 600
const COLOURS = ['#1f77b4', '#ff7f0e', '#2ca02c', '#d62728', '#9467bd', '#8c564b', '#7f7f7f']

interface ChartProps {
  readonly widget: DrawnWidget
  /** Epoch minutes of the first value. */
  readonly startsAt: number
}

/** The lines of a widget over time. The legend is ours, so that it can be read without the drawing. */
export function Chart({ widget, startsAt }: ChartProps) {
  const place = useRef<HTMLDivElement>(null)
  const lines = widget.lines.filter(({ values }) => values.length > 0)
  const colours = useColours()
  const onAws = widget.lines.filter(({ note }) => note !== undefined).length
  useEffect(() => {
    if (place.current === null || lines.length === 0) return
    const chart = drawn(widget, startsAt, place.current)
    return () => chart.destroy()
  }, [widget, startsAt, colours])
  return (
    <>
      <div ref={place} class="chart" role="img" aria-label={widget.title} />
      <ul class="legend">
        {widget.lines.map(({ label, color, values, note }, index) =>
          note !== undefined ? null : (
            <li key={label}>
              <svg width="10" height="10" aria-hidden="true">
                <rect width="10" height="10" rx="2" fill={colourOf(color, index)} />
              </svg>{' '}
              {label}: {valueText(values.findLast((value) => value !== null))}
            </li>
          ),
        )}
        {onAws === 0 ? null : <li class="quiet">{onAws} more: AWS itself publishes them</li>}
        {widget.levels.map(({ value, label }) => (
          <li key={label} class="quiet">
            {label}: {value}
          </li>
        ))}
      </ul>
    </>
  )
}

export function valueText(value: number | null | undefined): string {
  if (value === null || value === undefined) return 'none yet'
  return Number.isInteger(value) ? String(value) : value.toFixed(2)
}

function drawn(widget: DrawnWidget, startsAt: number, place: HTMLElement): UPlot {
  const data = dataOf(widget, startsAt)
  const [moments] = data
  const shown = { first: moments[0] ?? 0, last: moments.at(-1) ?? 0 }
  return new UPlot(optionsFor(widget, place, shown), data, place)
}

function dataOf({ lines }: DrawnWidget, startsAt: number): UPlot.AlignedData {
  const drawn = lines.filter(({ values }) => values.length > 0)
  const length = drawn[0]?.values.length ?? 0
  const moments = Array.from({ length }, (_, minute) => (startsAt + minute) * 60)
  return [moments, ...drawn.map(({ values }) => [...values])]
}

function optionsFor(
  { lines, title }: DrawnWidget,
  place: HTMLElement,
  { first, last }: { readonly first: number; readonly last: number },
): UPlot.Options {
  // A canvas knows no variables: the colours as they are computed.
  const { color: text, borderTopColor: line } = getComputedStyle(place)
  const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } }
  return {
    width: Math.max(200, place.clientWidth),
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { range: [Math.min(first, last - LEAST_SECONDS), last] },
      y: { range: (_, min, max) => [Math.min(0, min), max > 0 ? max * 1.1 : 1] },
    },
    axes: [
      { ...axis, values: (_, moments) => moments.map(minuteText), space: 60 },
      { ...axis, size: 55 },
    ],
    series: [
      { label: title },
      ...lines.flatMap(({ label, color, values }, index) =>
        values.length === 0
          ? []
          : [
              {
                label,
                stroke: colourOf(color, index),
                width: 2,
                points: { show: values.length < 60, size: 5 },
              },
            ],
      ),
    ],
  }
}

function minuteText(seconds: number): string {
  return new Date(seconds * 1000).toLocaleTimeString('en-GB').slice(0, 5)
}

function colourOf(color: string | undefined, index: number): string {
  return color ?? COLOURS[index % COLOURS.length] ?? 'currentColor'
}
