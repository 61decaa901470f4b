import type { ListedKey, ListedRing } from '../../../cli/keys-list.ts'
import { useWidth } from './parts.tsx'

/** Until it is known how much room there is. */
const LEAST = 340
const LABEL = 110
const ROW = 26

interface Phase {
  readonly state: string
  readonly from: number
  readonly to: number
}

/** The keys of a ring, from when each entered its state to when it will be gone. Epoch seconds. */
export function Timeline({ ring, now }: { readonly ring: ListedRing; readonly now: number }) {
  const [place, room] = useWidth()
  const width = Math.max(LEAST, room)
  const rows = ring.keys
    .filter(({ state }) => state !== 'pending' && state !== 'deleted')
    .map((key) => ({ key, phases: phasesOf(key, ring.times) }))
  const moments = rows.flatMap(({ phases }) => phases.flatMap(({ from, to }) => [from, to]))
  const start = Math.min(now, ...moments)
  const end = Math.max(now + 60, ...moments)
  const x = (moment: number) => LABEL + ((moment - start) / (end - start)) * (width - LABEL - 8)
  const height = rows.length * ROW + 34
  const text = rows.map(({ key }) => `${key.kid} is ${key.state}`).join('; ')
  return (
    <div ref={place} class="timeline">
      <svg width={width} height={height} role="img" aria-label={text}>
        {rows.map(({ key, phases }, index) => (
          <g key={key.kid}>
            <text x={0} y={index * ROW + 17} class="mono">
              {key.kid.slice(0, 12)}…
            </text>
            {phases.map(({ state, from, to }) => (
              <g key={state}>
                <title>{`${state} until ${dayText(to)}`}</title>
                <rect
                  class={`phase ${state}`}
                  x={x(from)}
                  y={index * ROW + 4}
                  width={Math.max(3, x(to) - x(from))}
                  height={ROW - 8}
                  rx={3}
                />
                {x(to) - x(from) > 60 ? (
                  <text class={`on ${state}`} x={x(from) + 7} y={index * ROW + 17}>
                    {state}
                  </text>
                ) : null}
              </g>
            ))}
          </g>
        ))}
        <line class="now" x1={x(now)} x2={x(now)} y1={0} y2={height - 18} />
        <text x={Math.min(x(now), width - 130)} y={height - 4} class="value">
          now
        </text>
        <text x={width - 8} y={height - 4} text-anchor="end" class="value">
          {dayText(end)}
        </text>
      </svg>
    </div>
  )
}

/** What a key is now, and what it will be. */
function phasesOf(key: ListedKey, times: ListedRing['times']): readonly Phase[] {
  const order = ['published', 'active', 'retired', 'disabled'] as const
  const phases: Phase[] = []
  for (const state of order.slice(order.indexOf(key.state as (typeof order)[number]))) {
    const from = phases.at(-1)?.to ?? key.since
    const planned = phases.length === 0 ? key.next?.at : undefined
    phases.push({ state, from, to: Math.max(from, planned ?? from + times[state]) })
  }
  return phases
}

function dayText(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(0, 10)
}
