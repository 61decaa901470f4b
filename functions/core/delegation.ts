import { LIMITS } from './limits.ts'
import type { RevocationKey } from './ports.ts'
import { type Refused, refuse } from './refusal.ts'
import { revocationKeysOf } from './revocation.ts'
import { isJsonObject } from './strict-json.ts'
import type { ValidatedSubject } from './subject-token.ts'
import { issuerNamedIn } from './trusted-issuer.ts'
import type { JsonValue } from './types.ts'

/** Who acts in an exchange, and in the token that it issues (RFC 8693 §1.1). */
export interface Delegation {
  /** Whose token is presented beside the subject's; `undefined` where nobody new acts. */
  readonly actor: ValidatedSubject | undefined
  /** Whom the issued token names as actors, the current one first: those of the subject's token are never dropped. */
  readonly actors: readonly string[]
  /** What could revoke the issued token because of them: whatever ends an actor's token ends it too. */
  readonly actorKeys: readonly RevocationKey[]
}

/**
 * Puts the actor before those whom the subject's token names, if the two tokens allow that together; whether policy does is
 * another question. Refuses an actor whom a `may_act` does not name, who acts or is the subject already, who has or may have an
 * actor itself, and more than `maxDepth` of them.
 */
export function delegate(
  subject: ValidatedSubject,
  actor: ValidatedSubject | undefined,
  maxDepth: number,
): Delegation | Refused {
  const kind = actor === undefined ? withoutActor(subject) : withActor(subject, actor)
  if (kind !== undefined) return refuse({ kind })
  const actors = actor === undefined ? subject.actors : [actor.subject, ...subject.actors]
  const isAllowed = actors.length <= Math.min(maxDepth, LIMITS.delegationDepth)
  if (!isAllowed) return refuse({ kind: 'delegation_too_deep' })
  const ofActor = actor === undefined ? [] : revocationKeysOf(actor)
  const keys = new Set([...revocationKeysOf(subject), ...ofActor])
  if (keys.size > LIMITS.revocationKeys) return refuse({ kind: 'lineage_too_long' })
  return { actor, actors, actorKeys: [...new Set([...subject.actorKeys, ...ofActor])] }
}

/** A token that says who may act is for them: whoever could leave the actor out would be seen as the subject. */
function withoutActor({ claims }: ValidatedSubject) {
  return claims['may_act'] === undefined ? undefined : 'actor_missing'
}

/** Whoever holds such a token acts, or may act, for its subject: to name that subject as the actor would hide the holder. */
const NAMES_OF_OTHERS = ['act', 'may_act'] as const

function withActor(subject: ValidatedSubject, actor: ValidatedSubject) {
  const mayAct = subject.claims['may_act']
  if (mayAct !== undefined && !isNamedIn(mayAct, actor)) return 'actor_not_named'
  if (NAMES_OF_OTHERS.some((name) => actor.claims[name] !== undefined)) return 'actor_has_actor'
  return [subject.subject, ...subject.actors].includes(actor.subject) ? 'delegation_loop' : undefined
}

/** By issuer and `sub` as they stand in the actor's token, both (RFC 8693 §4.4). What else is asked for is not met. */
function isNamedIn(mayAct: JsonValue, { claims }: ValidatedSubject): boolean {
  if (!isJsonObject(mayAct)) return false
  const { iss, sub, ...others } = mayAct
  return iss === issuerNamedIn(claims) && sub === claims['sub'] && Object.keys(others).length === 0
}
