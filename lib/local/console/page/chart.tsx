import { useEffect, useRef } from 'preact/hooks'
import UPlot from 'uplot'
import type { DrawnWidget } from '../wire.ts'
import { useColours } from './theme.ts'

const HEIGHT = 170
/** Of time that is shown, however young the run is. */
const LEAST_SECONDS = 600
/** A value is that of a minute. */
const COLUMN_SECONDS = 60
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
      {widget.unit === '' ? null : <p class="unit quiet">{widget.unit}</p>}
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
  const shown = { first: moments[1] ?? 0, last: moments.at(-1) ?? 0 }
  return new UPlot(optionsFor(widget, place, shown), data, place)
}

function dataOf(widget: DrawnWidget, startsAt: number): UPlot.AlignedData {
  const values = paintedOf(widget).map((line) => [...line.values])
  // One more at the beginning: by the distance of two the width of a column is known.
  const moments = Array.from({ length: (values[0]?.length ?? 0) + 1 }, (_, at) => (startsAt + at - 1) * 60)
  return [moments, ...values.map((each) => [null, ...each])]
}

interface PaintedLine {
  readonly label: string
  readonly color: string
  readonly values: readonly (number | null)[]
}

/** The lines that have values, in the order in which they are painted. */
function paintedOf({ lines, isStacked }: DrawnWidget): readonly PaintedLine[] {
  const painted = lines
    .map(({ label, color, values }, index) => ({ label, color: colourOf(color, index), values }))
    .filter(({ values }) => values.length > 0)
  return isStacked ? stackedUp(painted) : painted
}

/** Each line on top of those before it; the last one first, which is the highest and would hide the others. */
function stackedUp(lines: readonly PaintedLine[]): readonly PaintedLine[] {
  const heights: number[] = []
  const raised = lines.map(({ values, ...line }) => ({
    ...line,
    values: values.map((value, minute) => {
      if (value === null) return null
      const height = (heights[minute] ?? 0) + value
      heights[minute] = height
      return height
    }),
  }))
  return raised.toReversed()
}

function optionsFor(
  widget: DrawnWidget,
  place: HTMLElement,
  { first, last }: { readonly first: number; readonly last: number },
): UPlot.Options {
  // A canvas knows no variables: the colours as they are computed.
  const { color: text, borderTopColor: line } = getComputedStyle(place)
  const margin = widget.isStacked ? COLUMN_SECONDS / 2 : 0
  const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } }
  return {
    width: Math.max(200, place.clientWidth),
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { range: [Math.min(first, last - LEAST_SECONDS) - margin, last + margin] },
      y: { range: (_, min, max) => [Math.min(0, min), widget.most ?? (max > 0 ? max * 1.1 : 1)] },
    },
    axes: [
      { ...axis, values: (_, moments) => moments.map(minuteText), space: 60 },
      { ...axis, size: (_, labels) => widthOf(labels ?? []) },
    ],
    series: [
      { label: widget.title },
      ...paintedOf(widget).map((line) => (widget.isStacked ? columnsOf(line) : lineOf(line))),
    ],
  }
}

/** Of the labels at an axis, in pixels: the seconds of a month need more than the percent of requests. */
function widthOf(labels: readonly string[]): number {
  return Math.max(55, ...labels.map(({ length }) => 20 + 8 * length))
}

function lineOf({ label, color, values }: PaintedLine): UPlot.Series {
  return { label, stroke: color, width: 2, points: { show: values.length < 60, size: 5 } }
}

/** A column for each minute: where requests are few, a minute between two without any would have no area. */
function columnsOf({ label, color }: PaintedLine): UPlot.Series {
  const paths = UPlot.paths.bars?.({ size: [1, Number.POSITIVE_INFINITY] })
  return { label, fill: color, width: 0, points: { show: false }, ...(paths && { paths }) }
}

function minuteText(seconds: number): string {
  return new Date(seconds * 1000).toLocaleTimeString('en-GB').slice(0, 5)
}

function colourOf(color: string | undefined, index: number): string {
  return color ?? COLOURS[index % COLOURS.length] ?? 'currentColor'
}
