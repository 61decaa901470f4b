import type { RequestTrail } from '../wire.ts'
import { Candidates } from './candidates.tsx'
import type { Asked, BrokerAnswer, ReadToken } from './exchange.ts'
import { Json, Panel, Pill, type Tone } from './parts.tsx'

/** One exchange that was tried, with its tokens: they are gone when another is tried or the page is left. */
export interface Tried {
  readonly subjectToken: string
  readonly asked: Asked
  readonly answer: BrokerAnswer
  readonly token?: string
  readonly read?: ReadToken
  readonly trail: RequestTrail | undefined
}

const TONES: Readonly<Record<ReadToken['state'], Tone>> = {
  verified: 'good',
  'does not verify': 'bad',
  'no JWT': 'plain',
}

/** What the broker answered, why, and what the page makes of the new token. */
export function Answered({ tried: { answer, read, trail } }: { readonly tried: Tried }) {
  const { access_token: token, ...rest } = answer.body
  const shown = typeof token === 'string' ? { access_token: `${token.slice(0, 8)}…`, ...rest } : rest
  return (
    <Panel
      title="Answer"
      actions={<Pill tone={answer.status === 200 ? 'good' : 'warn'}>{answer.status}</Pill>}
    >
      <Json value={shown} label="answer" />
      <p>
        <a href={`#/exchanges/${answer.correlationId}`}>How it was decided</a>
        {trail?.reason === undefined ? null : (
          <>
            : <code>{trail.reason}</code>
          </>
        )}
      </p>
      {trail?.why === undefined ? null : (
        <>
          <p>{trail.why}</p>
          <Candidates candidates={trail.candidates} />
        </>
      )}
      {read === undefined ? null : (
        <>
          <p>
            <Pill tone={TONES[read.state]}>{read.state}</Pill> {read.verdict}
          </p>
          {read.claims === undefined ? null : <Json value={read.claims} label="claims of the new token" />}
        </>
      )}
    </Panel>
  )
}
