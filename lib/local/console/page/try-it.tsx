import { useRef, useState } from 'preact/hooks'
import type { TryIt as Choices, RequestTrail, TargetChoice } from '../wire.ts'
import { Answered, type Tried } from './answered.tsx'
import { getJson, postJson } from './api.ts'
import { Asking } from './asking.tsx'
import { type Asked, exchangeToken, signSubject, verifyToken } from './exchange.ts'
import { Introspection } from './introspection.tsx'
import { Lineage } from './lineage.tsx'
import { Panel, Problem, useLoaded } from './parts.tsx'

export function TryIt() {
  const { value, error } = useLoaded(() => getJson<Choices>('try'))
  if (value === undefined) return <Problem error={error} />
  return <Trial choices={value} />
}

function Trial({ choices }: { readonly choices: Choices }) {
  const [tried, setTried] = useState<Tried>()
  const [note, setNote] = useState('')
  const [error, setError] = useState<unknown>()
  const [round, setRound] = useState(0)
  const said = useRef<HTMLParagraphElement>(null)

  const act = async (work: () => Promise<void>) => {
    setError(undefined)
    setNote('')
    await work().catch(setError)
    setRound((last) => last + 1)
  }
  const exchange = (subjectToken: string, asked: Asked) =>
    act(async () => setTried(await tryExchange(subjectToken, asked, choices)))

  return (
    <div class="split">
      <Asking
        choices={choices}
        onAsk={(signRequest, asked) =>
          void act(async () => setTried(await tryExchange(await signSubject(signRequest), asked, choices)))
        }
      />
      <div>
        <Problem error={error} />
        {tried === undefined ? (
          <p class="quiet">The answer is verified here, against the keys that the broker publishes.</p>
        ) : (
          <>
            <Answered tried={tried} />
            <Panel title="And then?">
              <div class="bar-of-tools">
                <button type="button" onClick={() => void exchange(tried.subjectToken, tried.asked)}>
                  Replay it
                </button>
                <RevokeButton
                  tried={tried}
                  onRevoke={(id) => void act(async () => setNote(await revoke(id)))}
                />
                <Onward
                  key={tried.asked.audience}
                  tried={tried}
                  targets={choices.targets}
                  onAsk={(token, asked) => void exchange(token, asked)}
                />
              </div>
              <p ref={said} role="status" tabIndex={-1}>
                {note}
              </p>
              <Introspection
                key={tried.answer.correlationId}
                token={tried.token}
                target={choices.targets.find(({ audience }) => audience === tried.asked.audience)}
              />
              {tried.trail?.token === undefined ? null : (
                <>
                  <h3>Lineage</h3>
                  <Lineage
                    txn={tried.trail.token.txn}
                    round={round}
                    onRevoke={(id) =>
                      void act(async () => {
                        setNote(await revoke(id))
                        // The button that was pressed goes away: the focus must not be lost.
                        said.current?.focus()
                      })
                    }
                  />
                </>
              )}
            </Panel>
          </>
        )}
      </div>
    </div>
  )
}

async function tryExchange(subjectToken: string, asked: Asked, { issuer }: Choices): Promise<Tried> {
  const answer = await exchangeToken(subjectToken, asked)
  const { access_token: token } = answer.body
  const trail = await trailOf(answer.correlationId)
  const base = { subjectToken, asked, answer, trail }
  if (typeof token !== 'string') return base
  return { ...base, token, read: await verifyToken(token, { ...asked, issuer }) }
}

const ATTEMPTS = 10

/** The record comes to the console a moment after the answer to the client. */
async function trailOf(id: string): Promise<RequestTrail | undefined> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const trail = await getJson<RequestTrail>(`requests/${id}`).catch(() => undefined)
    if (trail?.token !== undefined || trail?.reason !== undefined) return trail
    if (attempt === ATTEMPTS - 1) return trail
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return undefined
}

async function revoke(token: string): Promise<string> {
  const { done, error } = await postJson<{ readonly done: boolean; readonly error?: string }>('revocations', {
    token,
  })
  return done ? `Revoked ${token}, with everything that was made from it.` : (error ?? 'not revoked')
}

function RevokeButton({
  tried,
  onRevoke,
}: {
  readonly tried: Tried
  readonly onRevoke: (id: string) => void
}) {
  const id = tried.trail?.token?.id
  return (
    <button type="button" disabled={id === undefined} onClick={() => id !== undefined && onRevoke(id)}>
      Revoke it
    </button>
  )
}

interface OnwardProps {
  readonly tried: Tried
  readonly targets: readonly TargetChoice[]
  readonly onAsk: (token: string, asked: Asked) => void
}

/** The new token, exchanged again by whoever received it. */
function Onward({ tried: { token, asked }, targets, onAsk }: OnwardProps) {
  const others = targets.filter(({ audience }) => audience !== asked.audience)
  const [audience, setAudience] = useState(
    (others.find(({ isOnward }) => isOnward) ?? others[0])?.audience ?? '',
  )
  const format = others.find((each) => each.audience === audience)?.format ?? 'jwt'
  return (
    <span class="pair">
      <button
        type="button"
        disabled={token === undefined || asked.format === 'aws-credentials'}
        onClick={() => token !== undefined && onAsk(token, { audience, scope: '', format, isOurs: true })}
      >
        Exchange it onward for
      </button>
      <select
        aria-label="onward target"
        value={audience}
        onChange={({ currentTarget }) => setAudience(currentTarget.value)}
      >
        {others.map((each) => (
          <option key={each.id} value={each.audience}>
            {each.id}
          </option>
        ))}
      </select>
    </span>
  )
}
