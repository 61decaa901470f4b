import { useState } from 'preact/hooks'
import type { TargetChoice } from '../wire.ts'
import { type BrokerAnswer, introspectToken } from './exchange.ts'
import { Json, Problem } from './parts.tsx'

interface IntrospectionProps {
  readonly token: string | undefined
  readonly target: TargetChoice | undefined
}

/** Only a registered client may ask what a token says. The broker keeps no secret of one, so it has to be typed in. */
export function Introspection({ token, target }: IntrospectionProps) {
  const [client, setClient] = useState(target?.introspectedBy[0] ?? '')
  const [secret, setSecret] = useState('')
  const [answer, setAnswer] = useState<BrokerAnswer>()
  const [error, setError] = useState<unknown>()
  if (token === undefined || target === undefined || target.format === 'aws-credentials') return null
  if (target.introspectedBy.length === 0) return <NoClient target={target} />
  const ask = () => introspectToken(token, client, secret).then(setAnswer, setError)
  return (
    <form
      class="bar-of-tools"
      onSubmit={(event) => {
        event.preventDefault()
        void ask()
      }}
    >
      <button type="submit">Introspect it as</button>
      <select
        aria-label="client"
        value={client}
        onChange={({ currentTarget }) => setClient(currentTarget.value)}
      >
        {target.introspectedBy.map((id) => (
          <option key={id}>{id}</option>
        ))}
      </select>
      <input
        type="password"
        placeholder="its secret"
        aria-label="client secret"
        autocomplete="off"
        value={secret}
        onInput={({ currentTarget }) => setSecret(currentTarget.value)}
      />
      <Problem error={error} />
      {answer === undefined ? null : <Json value={answer.body} label="answer to the introspection" />}
    </form>
  )
}

function NoClient({ target: { id } }: { readonly target: TargetChoice }) {
  const yaml = `clients:
  ${id}-service:
    authentication: {method: client_secret_basic, secret_digests: ["<digest>"]}
    introspects: [${id}]`
  return (
    <details>
      <summary>Introspect it: no client of this policy may introspect {id}. What to add</summary>
      <p>
        <code>npx token-broker clients secret</code> prints a secret and its digest. Then, in a file of the
        policy:
      </p>
      <pre class="command">{yaml}</pre>
      <p class="quiet">docs/recipes.md, “Introspect and revoke, locally”, has it as a script.</p>
    </details>
  )
}
