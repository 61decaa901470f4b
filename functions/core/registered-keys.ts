import type { Client, ClientKeySource } from './policy/compiled.ts'
import type { KeyHolder } from './ports.ts'

/** No issuer has such a name: it is neither a URL nor an issuer id, so a client's keys are never taken for an issuer's. */
export function holderOf({ id }: Client, keys: ClientKeySource): KeyHolder {
  return { id: `client#${id}`, issuer: `client#${id}`, keys }
}
