import { useEffect, useRef, useState } from 'preact/hooks'
import type { ListedRing } from '../../../cli/keys-list.ts'
import type { CommandResult } from '../wire.ts'
import { getJson, postJson, send } from './api.ts'
import { Json, Panel, Pill, Problem, useLoaded } from './parts.tsx'
import { Timeline } from './timeline.tsx'

interface Listing {
  readonly rings: readonly ListedRing[]
  readonly jwks: { readonly keys: readonly Readonly<Record<string, string>>[] }
}

async function load(): Promise<Listing> {
  const [{ rings }, jwks] = await Promise.all([
    getJson<{ readonly rings: readonly ListedRing[] }>('keys'),
    send('/.well-known/jwks.json').then((answer) => answer.json() as Promise<Listing['jwks']>),
  ])
  return { rings, jwks }
}

export function Keys() {
  const { value, error, reload } = useLoaded(load)
  if (value === undefined) return <Problem error={error} />
  const { rings, jwks } = value
  return (
    <>
      <Problem error={error} />
      <Rotation onDone={reload} />
      {rings.map((ring) => (
        <Panel key={ring.ring} title={`Ring ${ring.ring}`}>
          <Timeline ring={ring} now={Date.now() / 1000} />
          <RingTable ring={ring} />
        </Panel>
      ))}
      <Panel
        title={`The key set holds ${jwks.keys.length} keys`}
        actions={<a href="/.well-known/jwks.json">/.well-known/jwks.json</a>}
      >
        <p class="quiet">Caches may hold it for some minutes, this page asks anew.</p>
        <Json value={jwks} label="JSON Web Key Set" />
      </Panel>
    </>
  )
}

function RingTable({ ring }: { readonly ring: ListedRing }) {
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">kid</th>
          <th scope="col">state</th>
          <th scope="col">since</th>
          <th scope="col">in the key set</th>
          <th scope="col">next</th>
        </tr>
      </thead>
      <tbody>
        {ring.keys.map(({ kid, state, since, in_jwks: inJwks, next }) => (
          <tr key={kid}>
            <td>
              <code>{kid}</code>
            </td>
            <td>
              <Pill tone={state === 'active' ? 'good' : inJwks ? 'plain' : 'warn'}>{state}</Pill>
            </td>
            <td>{dateText(since)}</td>
            <td>{inJwks ? 'yes' : 'no'}</td>
            <td>{next === undefined ? '–' : `${next.step}, ${dateText(next.at)}`}</td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

/** The plan of `keys rotate --now`, and carrying it out. */
function Rotation({ onDone }: { readonly onDone: () => void }) {
  const [plan, setPlan] = useState<string>()
  const [note, setNote] = useState('')
  const [error, setError] = useState<unknown>()
  const ask = useRef<HTMLButtonElement>(null)
  const shown = useRef<HTMLElement>(null)
  // Where the plan appears and goes, the focus must not be lost.
  useEffect(() => shown.current?.focus(), [plan])
  const leave = () => {
    setPlan(undefined)
    ask.current?.focus()
  }
  const run = async (path: string, body: object, said: string) => {
    setError(undefined)
    const { done, error: problem } = await postJson<CommandResult>(path, body)
    if (plan !== undefined) leave()
    setNote(done ? said : '')
    if (!done) setError(new Error(problem ?? 'not done'))
    onDone()
  }
  const makePlan = async () => {
    setNote('')
    const { notes, error: problem } = await postJson<CommandResult>('rotation', { confirmed: false })
    if (notes === '') setError(new Error(problem ?? 'there is nothing to rotate'))
    else setPlan(notes)
  }
  return (
    <Panel title="Rotate">
      <div class="bar-of-tools">
        <button ref={ask} type="button" onClick={() => void makePlan().catch(setError)}>
          Rotate now…
        </button>
        <button
          type="button"
          onClick={() => void run('reconcile', {}, 'Every step that was due is taken.').catch(setError)}
        >
          Take the steps that are due
        </button>
      </div>
      {plan === undefined ? null : (
        <section ref={shown} tabIndex={-1} aria-label="plan of the rotation">
          <pre class="command">{plan}</pre>
          <button
            type="button"
            class="primary"
            onClick={() =>
              void run(
                'rotation',
                { confirmed: true },
                'Rotated: exchanges sign with the next keys within a minute.',
              ).catch(setError)
            }
          >
            Do it
          </button>{' '}
          <button type="button" onClick={leave}>
            Leave it
          </button>
        </section>
      )}
      <p role="status">{note}</p>
      <Problem error={error} />
    </Panel>
  )
}

function dateText(seconds: number): string {
  return `${new Date(seconds * 1000).toISOString().slice(0, 16).replace('T', ' ')}Z`
}
