import { useEffect, useRef, useState } from 'preact/hooks'
import type { DrawnDashboard, DrawnWidget, FaultChoice, MonitoringView, TryIt } from '../wire.ts'
import { Alarms } from './alarms.tsx'
import { getJson, postJson } from './api.ts'
import { Chart, valueText } from './chart.tsx'
import { exchangeToken, signSubject } from './exchange.ts'
import { Panel, Problem } from './parts.tsx'

const REFRESH_MILLISECONDS = 5000
const TRAFFIC_MILLISECONDS = 200

interface Watched {
  readonly faults: readonly FaultChoice[]
  readonly view?: MonitoringView
}

/** What is on the screens of whoever is on call, and what can be made to go wrong. */
export function OnCall() {
  const [watched, setWatched] = useState<Watched>()
  const [error, setError] = useState<unknown>()
  const [chosen, setChosen] = useState('on-call')
  const look = () =>
    getJson<Watched>('monitoring').then((seen) => {
      setWatched(seen)
      setError(undefined)
    }, setError)
  useEffect(() => {
    void look()
    const timer = setInterval(() => void look(), REFRESH_MILLISECONDS)
    return () => clearInterval(timer)
  }, [])
  const set = async (name: string, injected: boolean) => {
    await postJson('faults', { name, injected })
    await look()
  }
  if (watched === undefined) return <Problem error={error} />
  const { faults, view } = watched
  const dashboard = view?.dashboards.find(({ name }) => name.endsWith(`-${chosen}`))
  return (
    <>
      <Problem error={error} />
      <Panel title="Make something go wrong">
        <div class="bar-of-tools">
          {faults.map(({ name, title, isInjected }) => (
            <button
              key={name}
              type="button"
              aria-pressed={isInjected}
              onClick={() => void set(name, !isInjected).catch(setError)}
            >
              {title}
              {isInjected ? ' · clear it' : ''}
            </button>
          ))}
          <Traffic />
        </div>
        <p class="quiet">
          The functions meet the fault as they would on AWS. Alarms look at whole minutes: they take as long
          to ring, and to return, as they would for whoever is on call.
        </p>
      </Panel>
      {view === undefined ? (
        <p class="quiet">Nothing was published yet: send some requests.</p>
      ) : (
        <div class="watch">
          <Alarms alarms={view.alarms} startsAt={view.startsAt} />
          <div>
            <Dashboards all={view.dashboards} chosen={chosen} onChoose={setChosen} />
            {dashboard === undefined ? null : (
              <Widgets widgets={dashboard.widgets} startsAt={view.startsAt} />
            )}
          </div>
        </div>
      )}
    </>
  )
}

/** An exchange now and then, by this page: without requests no alarm has anything to tell. */
function Traffic() {
  const [isOn, setOn] = useState(false)
  const sent = useRef(0)
  useEffect(() => {
    if (!isOn) return
    let timer: ReturnType<typeof setInterval> | undefined
    let isStopped = false
    void getJson<TryIt>('try').then(({ presets, targets }) => {
      const tokens = targets.filter(({ format }) => format === 'jwt').map((target) => target.audience)
      const preset = presets.find((each) => each.grant !== undefined && tokens.includes(each.audience ?? ''))
      if (preset === undefined || isStopped) return
      const { signer, claims, audience = '' } = preset
      timer = setInterval(() => {
        sent.current += 1
        signSubject({ ...signer, claims })
          .then((token) => exchangeToken(token, { audience, scope: '', format: 'jwt', isOurs: false }))
          .catch(() => {})
      }, TRAFFIC_MILLISECONDS)
    })
    return () => {
      isStopped = true
      clearInterval(timer)
    }
  }, [isOn])
  return (
    <button type="button" aria-pressed={isOn} onClick={() => setOn(!isOn)}>
      {isOn ? 'Sending 5 exchanges a second · stop' : 'Send 5 exchanges a second'}
    </button>
  )
}

interface DashboardsProps {
  readonly all: readonly DrawnDashboard[]
  readonly chosen: string
  readonly onChoose: (name: string) => void
}

function Dashboards({ all, chosen, onChoose }: DashboardsProps) {
  const names = all.map(
    ({ name }) => ['on-call', 'executive', 'debug'].find((each) => name.endsWith(each)) ?? name,
  )
  return (
    <fieldset class="choice">
      <legend>Dashboard</legend>
      {names
        .toSorted()
        .toReversed()
        .map((name) => (
          <label key={name}>
            <input type="radio" name="dashboard" checked={name === chosen} onChange={() => onChoose(name)} />{' '}
            {name}
          </label>
        ))}
    </fieldset>
  )
}

function Widgets({
  widgets,
  startsAt,
}: {
  readonly widgets: readonly DrawnWidget[]
  readonly startsAt: number
}) {
  const drawn = widgets.filter(({ lines }) => lines.some(({ values }) => values.length > 0))
  const others = widgets.filter((widget) => !drawn.includes(widget))
  return (
    <>
      <div class="widgets">
        {drawn.map((widget) => (
          <Panel key={widget.title} title={widget.title}>
            {widget.view === 'chart' ? (
              <Chart widget={widget} startsAt={startsAt} />
            ) : (
              <p class="values">
                {widget.lines.map(({ label, values }) => (
                  <span key={label}>
                    <strong class="big">{valueText(values.at(-1))}</strong> <span class="quiet">{label}</span>
                  </span>
                ))}
              </p>
            )}
          </Panel>
        ))}
      </div>
      {others.length === 0 ? null : (
        <details>
          <summary>{others.length} more are drawn on AWS only</summary>
          <ul>
            {others.map(({ title, note }) => (
              <li key={title}>
                {title} <span class="quiet">{note ?? 'AWS itself publishes these metrics.'}</span>
              </li>
            ))}
          </ul>
        </details>
      )}
    </>
  )
}
