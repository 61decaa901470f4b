import { refuseClient } from './client-authentication.ts'
import type { Client } from './policy/compiled.ts'
import type { OneTimeLedger, SpentCredential } from './ports.ts'
import { type Refused, refuse } from './refusal.ts'

/**
 * Claims the one use of each credential, all at the same time: the refusal of the first that was used before, or
 * `undefined`. `client` is the one that presents them. Throws {@link DependencyUnavailable}.
 */
export async function claimOnce(
  credentials: readonly SpentCredential[],
  ledger: OneTimeLedger,
  client: Client | undefined,
): Promise<Refused | undefined> {
  const outcomes = await Promise.all(credentials.map((credential) => ledger.claim(credential)))
  const replayed = credentials.find((_, at) => outcomes[at] === 'replayed')
  return replayed && refuseReplay(replayed, client)
}

function refuseReplay({ kind }: SpentCredential, client: Client | undefined): Refused {
  switch (kind) {
    case 'assertion':
      return refuseClient('assertion_replayed', { client })
    case 'actor':
      return refuse({ kind: 'token_replayed' })
    case 'dpop':
      return refuse({ kind: 'dpop_proof_replayed' })
  }
}
