import { useState } from 'preact/hooks'
import type { Condition, Grant, Matcher, Rate, Template } from '../../../../functions/core/policy/compiled.ts'
import { Facts, Panel } from './parts.tsx'

/** Who gets what, on which conditions. */
export function Grants({ grants }: { readonly grants: readonly Grant[] }) {
  const [filter, setFilter] = useState('')
  const words = filter.toLowerCase().split(/\s+/)
  const shown = grants.filter((grant) => {
    const text = JSON.stringify(grant).toLowerCase()
    return words.every((word) => text.includes(word))
  })
  const count = shown.length === grants.length ? `${grants.length}` : `${shown.length} of ${grants.length}`
  return (
    <Panel
      title={`Grants (${count})`}
      actions={
        <input
          type="search"
          aria-label="filter the grants"
          placeholder="github payments …"
          value={filter}
          onInput={({ currentTarget }) => setFilter(currentTarget.value)}
        />
      }
    >
      {shown.map((grant) => (
        <GrantView key={grant.id} grant={grant} />
      ))}
    </Panel>
  )
}

function GrantView({ grant }: { readonly grant: Grant }) {
  const { id, issuer, target, when, scopes, defaultScopes, client, lifetimeSeconds, claims, rate } = grant
  return (
    <article class="grant">
      <h3>
        {id}{' '}
        <span class="quiet">
          {issuer} → {target}
        </span>
      </h3>
      <Conditions when={when} />
      {grant.actors?.map((actor) => (
        <div key={JSON.stringify(actor)}>
          <p>and an actor of {actor.issuer}</p>
          <Conditions when={actor.when} />
        </div>
      ))}
      <Facts
        facts={{
          scopes: scopes
            .map((scope) => (defaultScopes.includes(scope) ? `${scope} (default)` : scope))
            .join(', '),
          lifetime: `${lifetimeSeconds} s at most`,
          client,
          claims: Object.entries(claims)
            .map(([name, template]) => `${name}: ${templateText(template)}`)
            .join(', '),
          rate: rate && rateText(rate),
        }}
      />
    </article>
  )
}

function Conditions({ when }: { readonly when: readonly Condition[] }) {
  return (
    <ul>
      {when.map(({ path, anyOf }) => (
        <li key={path.join('/')}>
          <code>{path.join(' › ')}</code> {anyOf.map(matcherText).join(' or ')}
        </li>
      ))}
    </ul>
  )
}

function matcherText(matcher: Matcher): string {
  return matcher.kind === 'glob' ? `like ${matcher.pattern}` : `is ${JSON.stringify(matcher.value)}`
}

/** As a policy file has it, but for how it names a claim that is nested. */
function templateText(template: Template): string {
  return template.map((part) => (typeof part === 'string' ? part : `{${part.path.join(' › ')}}`)).join('')
}

function rateText({ limit, perSeconds, by }: Rate): string {
  return `${limit} in ${perSeconds} s, by ${by}`
}
