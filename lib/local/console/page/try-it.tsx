import { useState } from 'preact/hooks'
import { curlLine, type DemoExchange } from '../../demo-exchange.ts'
import type { TryIt as Choices, Preset, RequestTrail, TargetChoice } from '../wire.ts'
import { getJson, postJson } from './api.ts'
import { Candidates } from './candidates.tsx'
import {
  type Asked,
  type BrokerAnswer,
  exchangeToken,
  type ReadToken,
  signSubject,
  verifyToken,
} from './exchange.ts'
import { Introspection } from './introspection.tsx'
import { Lineage } from './lineage.tsx'
import { Json, Panel, Pill, Problem, type Tone, useLoaded } from './parts.tsx'

/** One exchange that was tried, with its tokens: they are gone when another is tried or the page is left. */
interface Tried {
  readonly subjectToken: string
  readonly asked: Asked
  readonly answer: BrokerAnswer
  readonly token?: string
  readonly read?: ReadToken
  readonly trail: RequestTrail | undefined
}

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
              <p role="status">{note}</p>
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
                    onRevoke={(id) => void act(async () => setNote(await revoke(id)))}
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

interface AskingProps {
  readonly choices: Choices
  readonly onAsk: (signRequest: object, asked: Asked) => void
}

/** Who asks, with which claims, for what. */
function Asking({ choices: { issuer, presets, targets }, onAsk }: AskingProps) {
  const first = firstOf(presets, targets)
  const [preset, setPreset] = useState(first)
  const [claims, setClaims] = useState(textOf(first))
  const [audience, setAudience] = useState(first?.audience ?? targets[0]?.audience ?? '')
  const [scopes, setScopes] = useState<readonly string[]>([])
  const target = targets.find((each) => each.audience === audience)
  const parsed = parse(claims)
  const signRequest = { ...preset?.signer, claims: parsed ?? {} }
  const scope = scopes.join(' ')
  const format = target?.format ?? 'jwt'
  const choose = (name: string) => {
    const chosen = presets.find((each) => each.name === name)
    setPreset(chosen)
    setClaims(textOf(chosen))
    if (chosen?.audience !== undefined) setAudience(chosen.audience)
    setScopes([])
  }
  const curl = curlLine(issuer, {
    signRequest: signRequest as DemoExchange['signRequest'],
    audience,
    format,
    ...(scope !== '' && { scope }),
  })
  return (
    <Panel title="Exchange">
      <form
        onSubmit={(event) => {
          event.preventDefault()
          if (parsed !== undefined) onAsk(signRequest, { audience, scope, format, isOurs: false })
        }}
      >
        <label class="field">
          Whose token
          <select value={preset?.name} onChange={({ currentTarget }) => choose(currentTarget.value)}>
            <optgroup label="What the policy allows">
              {presets.filter(({ grant }) => grant !== undefined).map(optionOf)}
            </optgroup>
            <optgroup label="Every kind">
              {presets.filter(({ grant }) => grant === undefined).map(optionOf)}
            </optgroup>
          </select>
        </label>
        <label class="field">
          Its claims, to change as you like <span class="quiet">(times and jti are fresh each time)</span>
          <textarea
            rows={14}
            spellcheck={false}
            value={claims}
            aria-invalid={parsed === undefined}
            onInput={({ currentTarget }) => setClaims(currentTarget.value)}
          />
        </label>
        {parsed === undefined ? <p class="problem">The claims are no JSON object.</p> : null}
        <label class="field">
          For
          <select
            value={audience}
            onChange={({ currentTarget }) => {
              setAudience(currentTarget.value)
              setScopes([])
            }}
          >
            {targets.map((each) => (
              <option key={each.id} value={each.audience}>
                {each.id}: {each.audience}
              </option>
            ))}
          </select>
        </label>
        <fieldset hidden={target === undefined || target.scopes.length === 0}>
          <legend>
            Scopes <span class="quiet">(none: the grant’s default)</span>
          </legend>
          {(target?.scopes ?? []).map((name) => (
            <label key={name}>
              <input
                type="checkbox"
                checked={scopes.includes(name)}
                onChange={() =>
                  setScopes(
                    scopes.includes(name) ? scopes.filter((each) => each !== name) : [...scopes, name],
                  )
                }
              />{' '}
              {name}
            </label>
          ))}
        </fieldset>
        <div class="bar-of-tools">
          <button type="submit" class="primary" disabled={parsed === undefined}>
            Exchange
          </button>
          <CopyButton text={curl} />
        </div>
      </form>
    </Panel>
  )
}

/** What one begins with: a token that the page can verify, if there is one. */
function firstOf(presets: readonly Preset[], targets: readonly TargetChoice[]): Preset | undefined {
  const jwts = targets.filter(({ format }) => format === 'jwt').map((target) => target.audience)
  return presets.find((preset) => jwts.includes(preset.audience ?? '')) ?? presets[0]
}

function optionOf({ name }: Preset) {
  return (
    <option key={name} value={name}>
      {name}
    </option>
  )
}

function CopyButton({ text }: { readonly text: string }) {
  const [isCopied, setCopied] = useState(false)
  const copy = async () => {
    await navigator.clipboard.writeText(text)
    setCopied(true)
    setTimeout(() => setCopied(false), 2000)
  }
  return (
    <>
      <button type="button" onClick={() => void copy()}>
        {isCopied ? 'Copied' : 'Copy as curl'}
      </button>
      <details class="curl">
        <summary>curl</summary>
        <code class="command">{text}</code>
      </details>
    </>
  )
}

const TONES: Readonly<Record<ReadToken['state'], Tone>> = {
  verified: 'good',
  'does not verify': 'bad',
  'no JWT': 'plain',
}

function Answered({ tried: { answer, read, trail } }: { readonly tried: Tried }) {
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

function textOf(preset: Preset | undefined): string {
  return JSON.stringify(preset?.claims ?? {}, null, 2)
}

function parse(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}
