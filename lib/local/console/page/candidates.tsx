import type { RequestTrail } from '../wire.ts'
import { Pill } from './parts.tsx'

/** So many are read at a glance; a policy may have hundreds for one issuer and target. */
const SHOWN = 8

type Candidate = RequestTrail['candidates'][number]

/** The grants that were looked at: what matches first, then what does not, with the first thing in its way. */
export function Candidates({ candidates }: { readonly candidates: readonly Candidate[] }) {
  if (candidates.length === 0) return null
  const rank = ({ mismatch }: Candidate) => (mismatch === undefined ? 0 : 1)
  const sorted = candidates.toSorted((a, b) => rank(a) - rank(b))
  const rest = sorted.slice(SHOWN)
  return (
    <>
      <List candidates={sorted.slice(0, SHOWN)} />
      {rest.length === 0 ? null : (
        <details>
          <summary>{rest.length} more</summary>
          <List candidates={rest} />
        </details>
      )}
    </>
  )
}

function List({ candidates }: { readonly candidates: readonly Candidate[] }) {
  return (
    <ul class="candidates" aria-label="grants that were looked at">
      {candidates.map(({ grant, mismatch, text }) => (
        <li key={grant}>
          <Pill tone={mismatch === undefined ? 'good' : 'bad'}>
            {mismatch === undefined ? 'matches' : 'does not match'}
          </Pill>
          <code>{mismatch === undefined ? grant : text}</code>
        </li>
      ))}
    </ul>
  )
}
