import type { OcsfEvent } from '../../functions/core/audit-ocsf.ts'

/** A token in a family of tokens: what was exchanged for it, and what it was exchanged for. Times in epoch seconds. */
export interface LineageNode {
  readonly token: string
  /** Missing for the external token at the root: no exchange made it. */
  readonly issued?: IssuedToken
  /** Why it is dead, as `kind#id` of each cut-off. */
  readonly revokedBy: readonly string[]
  /** Set where the exchange was refused, or failed, after its record was written: nobody got the token, or only a retry. */
  readonly withheld?: Withheld
  readonly children: readonly LineageNode[]
}

export interface Withheld {
  /** Why the exchange was refused, or `fault`. */
  readonly reason: string
  /** Whether the same request under the same idempotency key may have been given the token all the same. */
  readonly butForRetry: boolean
  /** When it was, as far as the trail says: to the first such request. Epoch seconds. */
  readonly repeatedAt?: number
}

export interface IssuedToken {
  readonly jti: string
  readonly txn: string
  readonly subject: string
  readonly client: string
  readonly target: string
  readonly grant: string
  readonly scope: string
  readonly issuedAt: number
  readonly expiresAt: number
  readonly kid: string
  /** Who was presented as acting for the subject: its name, and the id of its token. */
  readonly actor?: { readonly name: string; readonly token: string }
  /** Set where it is no token, but a session of an AWS role. */
  readonly session?: { readonly role: string; readonly name: string }
}

/** A cut-off: what was issued until then is revoked. Epoch seconds. */
export type CutOffs = ReadonlyMap<string, number>

type Event = Readonly<Record<string, unknown>>

/** Everything about one family, gathered from the trail. */
export class LineageSearch {
  readonly #wanted: string
  readonly #grants = new Map<string, Event>()
  /** By the request that had recorded the token: another one may fail over a record that is not its own. */
  readonly #withheld = new Map<unknown, Withheld>()
  readonly #repeatedAt = new Map<unknown, number>()
  readonly #cutOffs = new Map<string, number>()

  /**
   * `wanted` is a token's id, its `jti`, the `txn` of the family, or the name of a session of an AWS role, which several may
   * share; an actor's token is of every family that it took part in.
   */
  constructor(wanted: string) {
    this.#wanted = wanted
  }

  add(record: OcsfEvent): void {
    this.addEvent(record.unmapped.event)
  }

  addEvent(event: Event): void {
    if (event['event'] === 'exchange_granted') this.#grants.set(String(event['token']), event)
    if (isNotReleased(event)) this.#withhold(event)
    if (event['event'] === 'exchange_repeated') this.#repeat(event['token'], Number(event['time']))
    if (event['event'] === 'revocation')
      for (const key of [event['keys']].flat())
        this.revoke(String(key), Number(event['cut_off'] ?? Number.POSITIVE_INFINITY))
  }

  /** Adds a cut-off. Of several the latest counts. */
  revoke(key: string, cutOff: number): void {
    this.#cutOffs.set(key, Math.max(cutOff, this.#cutOffs.get(key) ?? 0))
  }

  /** Two functions may say it of one request, in any order: a refusal says more than that something failed. */
  #withhold({ correlation_id: request, reason, withheld_but_for_retry: butForRetry }: Event): void {
    const known = this.#withheld.get(request)
    this.#withheld.set(request, {
      reason: known === undefined || known.reason === 'fault' ? String(reason) : known.reason,
      butForRetry: butForRetry === true || known?.butForRetry === true,
    })
  }

  #repeat(token: unknown, at: number): void {
    this.#repeatedAt.set(token, Math.min(at, this.#repeatedAt.get(token) ?? at))
  }

  #withheldOf(event: Event | undefined): Withheld | undefined {
    const withheld = event && this.#withheld.get(event['correlation_id'])
    const repeatedAt = event && this.#repeatedAt.get(event['token'])
    return withheld && { ...withheld, ...(repeatedAt !== undefined && { repeatedAt }) }
  }

  /** What the family could be revoked by. */
  keys(): readonly string[] {
    return this.#family().flatMap((event) => [...keysOf(event), `token#${String(event['subject_token'])}`])
  }

  /** The family's trees, one for each external token; none if nothing in the trail is what was asked for. */
  trees(): readonly LineageNode[] {
    const family = this.#family()
    const made = new Set(family.map((event) => event['token']))
    const roots = new Set(
      family.map((event) => String(event['subject_token'])).filter((token) => !made.has(token)),
    )
    return [...roots].map((root) => this.#node(root, family, []))
  }

  #family(): readonly Event[] {
    const all = [...this.#grants.values()]
    const found = all.filter(
      (event) =>
        ['token', 'jti', 'txn', 'subject_token', 'actor_token'].some(
          (name) => event[name] === this.#wanted,
        ) || sessionIn(event)?.name === this.#wanted,
    )
    const families = new Set(found.map((event) => event['txn']))
    return all.filter((event) => families.has(event['txn']))
  }

  #node(token: string, family: readonly Event[], inherited: readonly string[]): LineageNode {
    const event = this.#grants.get(token)
    const own = event === undefined ? [`token#${token}`] : keysOf(event)
    const issuedAt = Number(event?.['time'] ?? 0)
    const hit = own.filter((key) => (this.#cutOffs.get(key) ?? -1) >= (isWhole(key) ? 0 : issuedAt))
    const revokedBy = [...new Set([...inherited, ...hit])]
    const children = family
      .filter((child) => child['subject_token'] === token && child['token'] !== token)
      .sort((a, b) => Number(a['time']) - Number(b['time']))
      .map((child) => this.#node(String(child['token']), family, revokedBy))
    const withheld = this.#withheldOf(event)
    return {
      token,
      ...(event !== undefined && { issued: issuedIn(event) }),
      revokedBy,
      ...(withheld !== undefined && { withheld }),
      children,
    }
  }
}

/**
 * Whether the event takes back what the record of the same request says. The function to which a request was handed on
 * knows of no failure when its answer does not arrive: what then failed cannot name the token.
 */
function isNotReleased(event: Event): boolean {
  return (
    event['event'] === 'exchange_failed' || (event['event'] === 'exchange_refused' && 'withheld' in event)
  )
}

/** These name one thing that is dead as a whole; other cut-offs spare what was issued later. */
function isWhole(key: string): boolean {
  return /^(?:token|lineage|key)#/.test(key)
}

function keysOf(event: Event): readonly string[] {
  return [
    `token#${String(event['token'])}`,
    `lineage#${String(event['txn'])}`,
    `subject#${String(event['subject'])}`,
    `client#${String(event['client_id'])}`,
    `key#${String(event['kid'])}`,
    ...[event['lineage_actors'] ?? []].flat().map(String),
  ]
}

function issuedIn(event: Event): IssuedToken {
  const session = sessionIn(event)
  const text = (name: string) => {
    const value = event[name]
    return typeof value === 'string' ? value : ''
  }
  return {
    jti: text('jti'),
    txn: text('txn'),
    subject: text('subject'),
    client: text('client_id'),
    target: text('target'),
    grant: text('grant'),
    scope: text('scope'),
    issuedAt: Number(event['time']),
    expiresAt: Number(event['expires_at']),
    kid: text('kid'),
    ...(text('actor') !== '' && { actor: { name: text('actor'), token: text('actor_token') } }),
    ...(session !== undefined && { session }),
  }
}

function sessionIn({ aws_session: session }: Event): IssuedToken['session'] {
  if (typeof session !== 'object' || session === null) return undefined
  const { role_arn: role, session_name: name } = session as Readonly<Record<string, unknown>>
  return { role: String(role), name: String(name) }
}
