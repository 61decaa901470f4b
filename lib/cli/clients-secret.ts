import { randomBytes } from 'node:crypto'
import { makeClientSecret } from '../../functions/core/client-secret.ts'
import type { Command } from './command.ts'

export const clientsSecret: Command = {
  path: ['clients', 'secret'],
  summary: 'make a client secret, and the digest of it for the policy',
  details:
    'Nothing keeps the secret: give it to the client now. The digest goes into the policy, beside the one before it\n' +
    'until the client has changed over.',
  example: 'npx token-broker clients secret',
  options: {},
  run: async ({ terminal, flag }) => {
    const made = makeClientSecret(randomBytes)
    if (flag('json')) {
      terminal.out(JSON.stringify(made, null, 2))
      return 0
    }
    terminal.err('the secret, for the client alone; it is shown once:')
    terminal.out(made.secret)
    terminal.err('its digest, for clients.<id>.authentication.secret_digests in the policy:')
    terminal.out(made.digest)
    return 0
  },
}
