import type { RequestSummary } from '../wire.ts'
import { Pill, type Tone } from './parts.tsx'

const TONES: Readonly<Record<RequestSummary['outcome'], Tone>> = {
  answered: 'good',
  refused: 'warn',
  failed: 'bad',
}

/** What a request came to. */
export function OutcomePill({ request }: { readonly request: RequestSummary }) {
  const { outcome, path, status } = request
  const word = outcome === 'answered' && path === '/token' ? 'granted' : outcome
  return (
    <Pill tone={TONES[outcome]}>
      {word} {status}
    </Pill>
  )
}
