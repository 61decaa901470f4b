import { useState } from 'preact/hooks'
import { curlLine, type DemoExchange } from '../../demo-exchange.ts'
import type { TryIt as Choices, Preset, TargetChoice } from '../wire.ts'
import type { Asked } from './exchange.ts'
import { Panel } from './parts.tsx'

interface AskingProps {
  readonly choices: Choices
  readonly onAsk: (signRequest: object, asked: Asked) => void
}

/** Who asks, with which claims, for what. */
export function Asking({ choices: { issuer, presets, targets }, onAsk }: AskingProps) {
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
        <Binding target={target} />
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

/** Said before it is refused: the page plays a client that has no key and no certificate. */
function Binding({ target }: { readonly target: TargetChoice | undefined }) {
  if (target === undefined || target.binding === 'none') return null
  const what = target.binding === 'dpop' ? 'a key, which a DPoP proof shows' : 'a client certificate'
  return (
    <p class="quiet">
      Tokens for {target.id} are bound to {what}. This page has none: the exchange will be refused.
    </p>
  )
}

/** What one begins with: as npm start does, GitHub's; in any case a token that the page can verify, if there is one. */
function firstOf(presets: readonly Preset[], targets: readonly TargetChoice[]): Preset | undefined {
  const jwts = targets.filter(({ format }) => format === 'jwt').map((target) => target.audience)
  const readable = presets.filter((preset) => jwts.includes(preset.audience ?? ''))
  return readable.find(({ signer }) => signer.preset === 'github-actions') ?? readable[0] ?? presets[0]
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
