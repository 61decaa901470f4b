import type { CallTiming } from '../wire.ts'
import { milliseconds, useWidth } from './parts.tsx'

const ROW = 22
const LABEL = 165
const VALUE = 60
/** Until it is known how much room there is. */
const LEAST = 340

/** The calls of one request on a common axis. */
export function Waterfall({
  calls,
  totalMs,
}: {
  readonly calls: readonly CallTiming[]
  readonly totalMs: number
}) {
  const [place, room] = useWidth()
  const width = Math.max(LEAST, room)
  const end = Math.max(totalMs, ...calls.map(({ endMs }) => endMs), 0.1)
  const x = (ms: number) => LABEL + (Math.max(0, ms) / end) * (width - LABEL - VALUE)
  const height = (calls.length + 1) * ROW + 4
  return (
    <div ref={place} class="waterfall">
      <svg width={width} height={height} role="img" aria-label="timings of the calls">
        <title>{`${calls.length} calls to AWS within ${milliseconds(totalMs)}`}</title>
        <Bar y={0} name="request" from={x(0)} to={x(totalMs)} text={milliseconds(totalMs)} tone="whole" />
        {calls.map(({ name, resource, outcome, startMs, endMs }, index) => (
          <Bar
            key={`${name}${startMs}`}
            y={(index + 1) * ROW}
            name={name}
            from={x(startMs)}
            to={x(endMs)}
            text={`${milliseconds(endMs - startMs)}${outcome === 'ok' ? '' : ` ${outcome}`}`}
            hint={`${resource ?? ''}: ${outcome}`}
            tone={outcome === 'ok' ? 'ok' : 'not-ok'}
          />
        ))}
      </svg>
    </div>
  )
}

interface BarProps {
  readonly y: number
  readonly name: string
  readonly from: number
  readonly to: number
  readonly text: string
  readonly hint?: string
  readonly tone: string
}

function Bar({ y, name, from, to, text, hint, tone }: BarProps) {
  return (
    <g>
      {hint === undefined ? null : <title>{hint}</title>}
      <text x={0} y={y + 15}>
        {name}
      </text>
      <rect class={`bar ${tone}`} x={from} y={y + 4} width={Math.max(2, to - from)} height={ROW - 8} rx={3} />
      <text x={to + 6} y={y + 15} class="value">
        {text}
      </text>
    </g>
  )
}
