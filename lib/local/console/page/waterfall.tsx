import type { CallTiming } from '../wire.ts'
import { constructName, milliseconds, useWidth } from './parts.tsx'

const ROW = 22
/** A row with a second line: what was called about what. */
const TALL_ROW = 36
const LABEL = 185
const MOST_CHARACTERS = 28
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
  const height = ROW + calls.length * TALL_ROW + 4
  return (
    <div ref={place} class="waterfall">
      <svg width={width} height={height} role="img" aria-label="timings of the calls">
        <title>{`${calls.length} calls to AWS within ${milliseconds(totalMs)}`}</title>
        <Bar y={0} name="request" from={x(0)} to={x(totalMs)} text={milliseconds(totalMs)} tone="whole" />
        {calls.map(({ name, resource = '', outcome, startMs, endMs }, index) => (
          <Bar
            key={`${name}${startMs}`}
            y={ROW + index * TALL_ROW}
            name={name}
            about={aboutOf(resource)}
            from={x(startMs)}
            to={x(endMs)}
            text={`${milliseconds(endMs - startMs)}${outcome === 'ok' ? '' : ` ${outcome}`}`}
            hint={`${resource}: ${outcome}`}
            tone={outcome === 'ok' ? 'ok' : 'not-ok'}
          />
        ))}
      </svg>
    </div>
  )
}

/** What was called about: as much of it as there is room for. */
function aboutOf(resource: string): string {
  const name = constructName(resource)
  return name.length > MOST_CHARACTERS ? `${name.slice(0, MOST_CHARACTERS)}…` : name
}

interface BarProps {
  readonly y: number
  readonly name: string
  readonly about?: string
  readonly from: number
  readonly to: number
  readonly text: string
  readonly hint?: string
  readonly tone: string
}

function Bar({ y, name, about, from, to, text, hint, tone }: BarProps) {
  return (
    <g>
      {hint === undefined ? null : <title>{hint}</title>}
      <text x={0} y={y + 15}>
        {name}
      </text>
      {about === undefined ? null : (
        <text x={0} y={y + 28} class="value about">
          {about}
        </text>
      )}
      <rect class={`bar ${tone}`} x={from} y={y + 4} width={Math.max(2, to - from)} height={ROW - 8} rx={3} />
      <text x={to + 6} y={y + 15} class="value">
        {text}
      </text>
    </g>
  )
}
