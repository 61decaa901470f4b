import { useState } from 'preact/hooks'
import type { RequestSummary } from '../wire.ts'
import type { LiveList } from './live.ts'
import { OutcomePill } from './outcome.tsx'
import { milliseconds, timeText } from './parts.tsx'
import { Trail } from './trail.tsx'

/** Every exchange and refusal, as it happens. */
export function Exchanges({ live, selected }: { readonly live: LiveList; readonly selected: string }) {
  const [filter, setFilter] = useState('')
  const [held, setHeld] = useState<readonly RequestSummary[]>()
  const words = filter.toLowerCase().split(/\s+/)
  const requests = (held ?? live.requests).filter((request) => matches(request, words))
  return (
    <>
      <div class="bar-of-tools">
        <label>
          Filter{' '}
          <input
            type="search"
            value={filter}
            placeholder="refused github …"
            onInput={({ currentTarget }) => setFilter(currentTarget.value)}
          />
        </label>
        <button
          type="button"
          aria-pressed={held !== undefined}
          onClick={() => setHeld(held === undefined ? live.requests : undefined)}
        >
          {held === undefined ? 'Pause' : 'Go on'}
        </button>
        <label>
          <input
            type="checkbox"
            checked={live.isWithProbe}
            onChange={({ currentTarget }) => {
              setHeld(undefined)
              live.showProbe(currentTarget.checked)
            }}
          />{' '}
          with the probe
        </label>
        <span class="quiet" role="status">
          {live.isConnected ? 'live' : 'not connected: is the broker running?'} · {live.total}{' '}
          {live.total === 1 ? 'request' : 'requests'}
        </span>
      </div>
      <div class="split">
        <div class="list">
          <table>
            <thead>
              <tr>
                <th scope="col">time</th>
                <th scope="col">outcome</th>
                <th scope="col" class="wide-only">
                  request
                </th>
                <th scope="col">who, for what</th>
                <th scope="col" class="number">
                  took
                </th>
              </tr>
            </thead>
            <tbody>
              {requests.map((request) => (
                <Row key={request.id} request={request} isSelected={request.id === selected} />
              ))}
            </tbody>
          </table>
          {requests.length === 0 ? (
            <p class="quiet">
              {filter === '' ? 'Nothing yet.' : 'Nothing matches the filter.'}{' '}
              <a href="#/try">Try an exchange</a>, or run the curl line that npm start prints.
            </p>
          ) : null}
        </div>
        <div class="detail">
          {selected === '' ? (
            <p class="quiet">Choose a request to see how it was decided.</p>
          ) : (
            <Trail key={selected} id={selected} />
          )}
        </div>
      </div>
    </>
  )
}

function Row({ request, isSelected }: { readonly request: RequestSummary; readonly isSelected: boolean }) {
  const { id, at, path, issuer, subject, target, grant, reason, durationMs } = request
  return (
    <tr class={isSelected ? 'selected' : ''}>
      <td>
        <a href={`#/exchanges/${id}`} aria-current={isSelected ? 'true' : undefined}>
          {timeText(at)}
        </a>
      </td>
      <td>
        <OutcomePill request={request} />
      </td>
      <td class="wide-only">{path}</td>
      <td class="who">
        <div class="one-line" title={subject ?? issuer}>
          {subject ?? issuer ?? ''}
        </div>
        <div class="quiet">
          {target === undefined ? '' : `→ ${target}: `}
          {reason ?? grant ?? ''}
        </div>
      </td>
      <td class="number">{milliseconds(durationMs)}</td>
    </tr>
  )
}

function matches(request: RequestSummary, words: readonly string[]): boolean {
  const text = Object.values(request).join(' ').toLowerCase()
  return words.every((word) => text.includes(word))
}
