import { useState } from 'preact/hooks'
import type { Client, Grant, Target, TrustedIssuer } from '../../../../functions/core/policy/compiled.ts'
import type { ExplainedGrant } from '../../../../functions/core/policy/decide.ts'
import { getJson, postJson } from './api.ts'
import { Grants } from './grants.tsx'
import { Facts, Json, Panel, Pill, Problem, useLoaded } from './parts.tsx'

interface PolicyView {
  readonly digest: string
  readonly issuers: readonly TrustedIssuer[]
  readonly targets: readonly Target[]
  readonly grants: readonly Grant[]
  readonly clients: readonly (Omit<Client, 'authentication'> & { readonly method: string })[]
  readonly warnings: readonly string[]
}

export function Policy() {
  const { value: policy, error } = useLoaded(() => getJson<PolicyView>('policy'))
  if (policy === undefined) return <Problem error={error} />
  return (
    <>
      <p class="quiet">
        As the functions have it: digest <code>{policy.digest}</code>
      </p>
      <Findings warnings={policy.warnings} />
      <div class="split">
        <div>
          <Grants grants={policy.grants} />
        </div>
        <div>
          <Explain />
          <Panel title={`Issuers (${policy.issuers.length})`}>
            {policy.issuers.map((issuer) => (
              <details key={issuer.id}>
                <summary>
                  <strong>{issuer.id}</strong> <span class="quiet">{issuer.issuer}</span>
                </summary>
                <Facts
                  facts={{
                    preset: issuer.preset,
                    audiences: issuer.audiences.join(', '),
                    algorithms: issuer.algorithms.join(', '),
                    keys: issuer.keys.kind,
                    replay: issuer.replay,
                    'longest lifetime': `${issuer.maxLifetimeSeconds} s`,
                    client: issuer.clientAuthentication,
                    'default target': issuer.defaultTarget,
                  }}
                />
              </details>
            ))}
          </Panel>
          <Panel title={`Targets (${policy.targets.length})`}>
            {policy.targets.map((target) => (
              <details key={target.id}>
                <summary>
                  <strong>{target.id}</strong> <span class="quiet">{target.audience}</span>
                </summary>
                <Json value={target} label={`target ${target.id}`} />
              </details>
            ))}
          </Panel>
          <Panel title={`Clients (${policy.clients.length})`}>
            {policy.clients.length === 0 ? <p class="quiet">None is registered.</p> : null}
            {policy.clients.map((client) => (
              <Facts
                key={client.id}
                facts={{
                  client: client.id,
                  method: client.method,
                  introspects: client.introspects.join(', '),
                  revokes: client.revokes.join(', '),
                }}
              />
            ))}
          </Panel>
        </div>
      </div>
    </>
  )
}

function Findings({ warnings }: { readonly warnings: readonly string[] }) {
  if (warnings.length === 0)
    return (
      <p>
        <Pill tone="good">lint</Pill> finds nothing that trusts too much.
      </p>
    )
  return (
    <ul class="candidates">
      {warnings.map((warning) => (
        <li key={warning}>
          <Pill tone="warn">lint</Pill>
          <code>{warning}</code>
        </li>
      ))}
    </ul>
  )
}

interface Explained {
  readonly outcome: string
  readonly why?: string
  readonly change?: string
  readonly reason?: string
  readonly grant?: string
  readonly candidates: readonly ExplainedGrant[]
}

/** What `policy explain` says. Nothing of it is an exchange. */
function Explain() {
  const [claims, setClaims] = useState('')
  const [audience, setAudience] = useState('')
  const [explained, setExplained] = useState<Explained>()
  const [error, setError] = useState<unknown>()
  const ask = async () => {
    setError(undefined)
    setExplained(undefined)
    const question = { claims: JSON.parse(claims) as unknown, ...(audience !== '' && { audience }) }
    setExplained(await postJson<Explained>('explain', question))
  }
  return (
    <Panel title="Explain claims">
      <form
        onSubmit={(event) => {
          event.preventDefault()
          ask().catch(setError)
        }}
      >
        <label class="field">
          Claims of a token, as JSON
          <textarea
            rows={6}
            spellcheck={false}
            value={claims}
            placeholder={'{"iss": "https://token.actions.githubusercontent.com", …}'}
            onInput={({ currentTarget }) => setClaims(currentTarget.value)}
          />
        </label>
        <label class="field">
          Audience of the request <span class="quiet">(none: the default target)</span>
          <input value={audience} onInput={({ currentTarget }) => setAudience(currentTarget.value)} />
        </label>
        <button type="submit" class="primary">
          Explain
        </button>
      </form>
      <Problem error={error} />
      {explained === undefined ? null : (
        <div role="status">
          <p>
            <Pill tone={explained.outcome === 'granted' ? 'good' : 'warn'}>{explained.outcome}</Pill>{' '}
            {explained.grant ?? explained.why}
          </p>
          {explained.change === undefined ? null : <p>To change it: {explained.change}</p>}
          <Json value={explained} label="explanation" />
        </div>
      )}
    </Panel>
  )
}
