import { useState } from 'preact/hooks'
import type { AlarmNow } from '../wire.ts'
import { valueText } from './chart.tsx'
import { Panel, Pill, type Tone } from './parts.tsx'

const TONES: Readonly<Record<string, Tone>> = { ALARM: 'bad', OK: 'good' }
const WORDS: Readonly<Record<string, string>> = {
  ALARM: 'rings',
  OK: 'quiet',
  INSUFFICIENT_DATA: 'no data',
  NOT_EVALUATED: 'on AWS only',
}
const ORDER = ['ALARM', 'OK', 'INSUFFICIENT_DATA', 'NOT_EVALUATED']
const SIGNS: Readonly<Record<NonNullable<AlarmNow['condition']>['comparison'], string>> = {
  GreaterThanOrEqualToThreshold: '≥',
  GreaterThanThreshold: '>',
  LessThanThreshold: '<',
  LessThanOrEqualToThreshold: '≤',
}

interface AlarmsProps {
  readonly alarms: readonly AlarmNow[]
  /** Epoch minutes of the first minute that is shown. */
  readonly startsAt: number
}

/** Those that call somebody; what they are put together from unfolds below them. */
export function Alarms({ alarms, startsAt }: AlarmsProps) {
  const sorted = alarms.toSorted((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state))
  const calling = sorted.filter((alarm) => alarm.calls.length > 0 && isKnown(alarm, alarms))
  const shown = new Set(calling.flatMap((alarm) => [alarm, ...partsBelow(alarm, alarms)]))
  const inNone = ({ id }: AlarmNow) => !alarms.some(({ parts }) => parts.includes(id))
  const rest = sorted.filter((alarm) => !shown.has(alarm) && inNone(alarm))
  const ringing = calling.filter(({ state, awaitsData }) => state === 'ALARM' && !awaitsData).length
  return (
    <Panel
      title="Alarms"
      actions={
        <Pill tone={ringing === 0 ? 'good' : 'bad'}>
          {ringing === 0 ? 'none rings' : ringing === 1 ? '1 rings' : `${ringing} ring`}
        </Pill>
      }
    >
      <AlarmTable top={calling} alarms={alarms} startsAt={startsAt} />
      {calling.some(({ awaitsData }) => awaitsData) ? (
        <p class="quiet">
          No data yet, or not enough: this run is younger than what it looks at. On AWS silence counts as
          failing: there it rings until enough data points are in.
        </p>
      ) : null}
      {calling.some(({ state }) => state === 'NOT_EVALUATED') ? (
        <p class="quiet">Quiet, in part: the rest of it looks at metrics that AWS itself publishes.</p>
      ) : null}
      <details>
        <summary>
          {rest.length} more: on metrics that AWS itself publishes, and what only keeps others quiet
        </summary>
        <AlarmTable top={rest} alarms={alarms} startsAt={startsAt} />
      </details>
    </Panel>
  )
}

function partsOf({ parts }: AlarmNow, alarms: readonly AlarmNow[]): readonly AlarmNow[] {
  return alarms.filter(({ id }) => parts.includes(id))
}

/** Whether anything of it is evaluated here. */
function isKnown(alarm: AlarmNow, alarms: readonly AlarmNow[]): boolean {
  return alarm.state !== 'NOT_EVALUATED' || partsBelow(alarm, alarms).some((part) => isKnown(part, alarms))
}

function partsBelow(alarm: AlarmNow, alarms: readonly AlarmNow[]): readonly AlarmNow[] {
  return partsOf(alarm, alarms).flatMap((part) => [part, ...partsBelow(part, alarms)])
}

function AlarmTable({ top, ...about }: AlarmsProps & { readonly top: readonly AlarmNow[] }) {
  return (
    <table class="alarms">
      <thead>
        <tr>
          <th scope="col">state</th>
          <th scope="col">alarm</th>
          <th scope="col" class="number">
            now
          </th>
          <th scope="col" class="number">
            rings at
          </th>
          <th scope="col" class="wide-only">
            since
          </th>
          <th scope="col">calls</th>
        </tr>
      </thead>
      <tbody>
        {top.map((alarm) => (
          <Rows key={alarm.id} alarm={alarm} depth={0} {...about} />
        ))}
      </tbody>
    </table>
  )
}

interface RowsProps extends AlarmsProps {
  readonly alarm: AlarmNow
  readonly depth: number
}

/** An alarm, and if it is unfolded its parts. */
function Rows({ alarm, depth, alarms, startsAt }: RowsProps) {
  const { id, state, awaitsData, sinceMinute, calls, condition, value, reason } = alarm
  const parts = partsOf(alarm, alarms)
  const isPartly = state === 'NOT_EVALUATED' && isKnown(alarm, alarms)
  const [chosen, setOpen] = useState<boolean>()
  const isOpen = parts.length > 0 && (chosen ?? (state === 'ALARM' && !awaitsData))
  return (
    <>
      <tr>
        <td>
          <Pill tone={awaitsData ? 'plain' : (TONES[state] ?? 'plain')}>
            {awaitsData ? 'no data yet' : isPartly ? 'quiet, in part' : (WORDS[state] ?? state)}
          </Pill>
        </td>
        <td class={`name depth-${Math.min(depth, 2)}`}>
          {parts.length === 0 ? (
            <span>{id}</span>
          ) : (
            <button type="button" class="fold" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
              {id}
            </button>
          )}
          {reason === undefined ? null : (
            <div class="quiet one-line" title={reason}>
              {reason}
            </div>
          )}
        </td>
        <td class="number">
          {condition === undefined ? '' : value === undefined ? '–' : amountText(value, condition.unit)}
        </td>
        <td class="number">
          {condition === undefined
            ? ''
            : `${SIGNS[condition.comparison]} ${amountText(condition.threshold, condition.unit)}`}
        </td>
        <td class="wide-only">{state === 'NOT_EVALUATED' ? '' : minuteText(startsAt + sinceMinute)}</td>
        <td>{calls.join(', ')}</td>
      </tr>
      {isOpen
        ? parts.map((part) => (
            <Rows key={part.id} alarm={part} depth={depth + 1} alarms={alarms} startsAt={startsAt} />
          ))
        : null}
    </>
  )
}

function minuteText(epochMinutes: number): string {
  return new Date(epochMinutes * 60_000).toLocaleTimeString('en-GB').slice(0, 5)
}

const SPANS = [
  ['d', 86_400],
  ['h', 3600],
  ['min', 60],
] as const

/** Of an amount that rounding to one decimal may hide: an alarm at 25 hours does not ring at one day. */
const ROUNDED_AWAY = 0.01

/** A number with its unit, as CloudWatch names that, in the largest that leaves one whole and says it well. */
function amountText(value: number, unit: string | undefined): string {
  if (unit === 'Milliseconds') return `${valueText(value)} ms`
  if (unit === 'Percent') return `${valueText(value)} %`
  if (unit !== 'Seconds') return valueText(value)
  const amount = Math.abs(value)
  const rounded = (length: number) => Number((amount / length).toFixed(1))
  const [name, length] = SPANS.find(
    ([, each]) => amount >= each && Math.abs(rounded(each) * each - amount) <= amount * ROUNDED_AWAY,
  ) ?? ['s', 1]
  return `${value < 0 ? '−' : ''}${rounded(length)} ${name}`
}
