import type { RequestTrail } from '../wire.ts'
import { getJson } from './api.ts'
import { Candidates } from './candidates.tsx'
import { OutcomePill } from './outcome.tsx'
import { Facts, Json, milliseconds, Panel, Problem, timeText, useLoaded } from './parts.tsx'
import { Waterfall } from './waterfall.tsx'

/** How one request was decided. */
export function Trail({ id }: { readonly id: string }) {
  const { value: trail, error } = useLoaded(() => getJson<RequestTrail>(`requests/${encodeURIComponent(id)}`))
  if (trail === undefined) return error === undefined ? <p>…</p> : <Problem error={error} />
  const isExchange = trail.path === '/token'
  return (
    <div class="trail">
      <Panel title="Decision" actions={<OutcomePill request={trail} />}>
        <Facts
          facts={{
            'correlation id': <code>{trail.id}</code>,
            time: timeText(trail.at),
            request: `${trail.method} ${trail.path}`,
            issuer: trail.issuer,
            subject: trail.subject,
            actor: trail.actor && (
              <>
                <bdi>{trail.actor.subject}</bdi> ({trail.actor.issuer})
              </>
            ),
            target: trail.target,
            grant: trail.grant,
            reason: trail.reason,
            unavailable: trail.dependency,
            why: trail.why,
            'to change it': trail.change,
            'bound to': trail.binding && bindingText(trail.binding),
            role: trail.session?.role,
            session: trail.session?.name,
            replay: isExchange ? trail.replay : undefined,
            revocation: isExchange ? trail.revocation : undefined,
          }}
        />
        <Candidates candidates={trail.candidates} />
      </Panel>
      <Panel title="Time">
        <Waterfall calls={trail.calls} totalMs={trail.durationMs} />
        <Facts
          facts={Object.fromEntries(
            Object.entries(trail.measured).map(([name, value]) => [
              name.replace(/_ms$/, '').replaceAll('_', ' '),
              measuredText(name, value),
            ]),
          )}
        />
      </Panel>
      {trail.claims === undefined && trail.unread === undefined ? null : (
        <Panel title="Subject token: the claims that the policy reads">
          {trail.claims === undefined ? (
            <p>{trail.unread}</p>
          ) : (
            <Json value={trail.claims} label="claims of the subject token" />
          )}
        </Panel>
      )}
      {trail.issued === undefined && trail.token === undefined ? null : (
        <Panel title="New token">
          {trail.token === undefined ? null : (
            <Facts facts={{ 'token id': <code>{trail.token.id}</code>, format: trail.token.format }} />
          )}
          {trail.issued === undefined ? null : <Json value={trail.issued} label="claims of the new token" />}
        </Panel>
      )}
    </div>
  )
}

/** The members of `cnf`: what each names (RFC 9449 §6.1, RFC 8705 §3.1). */
const BINDINGS: Readonly<Record<string, string>> = { jkt: 'DPoP key', 'x5t#S256': 'client certificate' }

function bindingText(cnf: Readonly<Record<string, string>>): string {
  return Object.entries(cnf)
    .map(([name, value]) => `${BINDINGS[name] ?? name} ${value}`)
    .join(', ')
}

/** Names of metrics end in their unit or say it, where they are not counts. */
function measuredText(name: string, value: number): string {
  return /duration|latency|_ms$/i.test(name) ? milliseconds(value) : String(value)
}
