import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Authorised, authorise } from '../../functions/core/authorise.ts'
import type { ActorRule, CompiledPolicy, Condition, Grant } from '../../functions/core/policy/compiled.ts'
import { decideGrant, indexPolicy, type PolicyIndex } from '../../functions/core/policy/decide.ts'
import {
  type AuthenticToken,
  type ValidatedSubject,
  validateSubject,
} from '../../functions/core/subject-token.ts'
import { tokenIdOf } from '../../functions/core/token-id.ts'
import type { JsonObject, TargetId } from '../../functions/core/types.ts'
import { findingsIn, PAYMENTS_CI, withGrant } from '../core/policy/policy-fixture.ts'
import {
  AUDIENCE,
  claimSet,
  grantList,
  ISSUERS,
  issuerOf,
  issuerUrl,
  policyOf,
  rivalGrants,
  scopeList,
  TARGETS,
  targetOf,
} from './policies.ts'
import { holds, NOW } from './world.ts'

/** A subject and what it asks for. No signature takes part in a decision: here its claims stand for themselves. */
const question = fc.record({
  from: fc.constantFrom(...ISSUERS),
  claims: claimSet,
  target: fc.constantFrom(...TARGETS),
  scopes: fc.option(
    scopeList.filter((scopes) => scopes.length > 0),
    { nil: undefined },
  ),
  exp: fc.integer({ min: -60, max: 4000 }),
  actor: fc.option(
    fc.record({
      from: fc.constantFrom(...ISSUERS),
      claims: claimSet,
      exp: fc.integer({ min: -60, max: 4000 }),
    }),
    { nil: undefined, freq: 2 },
  ),
})
type Question = typeof question extends fc.Arbitrary<infer Q> ? Q : never

/** About the one issuer and target that {@link rivalGrants} are for: of other questions, hardly one is granted. */
const rivalQuestion = question.map((asked): Question => ({ ...asked, from: 'one', target: 'red' }))

interface At {
  readonly now?: number
  /** Renames every id and URL. */
  readonly rename?: (name: string) => string
}

/** What policy says: why not, or what the token would hold. */
function decisionOn(
  policy: CompiledPolicy,
  asked: Question,
  { now = NOW, rename = (name) => name }: At = {},
): unknown {
  const index = indexPolicy(policy)
  const target = index.targets.get(rename(asked.target) as TargetId)
  if (target === undefined || target.format === 'aws-credentials') return 'unknown'
  const subject = acceptedBy(policy, { ...asked, sub: 's' }, { now, rename })
  if (typeof subject === 'string') return subject
  const actor = asked.actor && acceptedBy(policy, { ...asked.actor, sub: 'actor' }, { now, rename })
  if (typeof actor === 'string') return actor
  const authorised = authorise(
    index,
    { subject, actor, client: undefined, target, scopes: asked.scopes, confirmation: {}, jti: 'jti' },
    now,
  )
  return 'refused' in authorised ? authorised.refused.kind : summaryOf(authorised, now)
}

/** A token as its issuer would have signed it, or why it is not accepted. */
function acceptedBy(
  policy: CompiledPolicy,
  asked: { readonly from: string; readonly claims: object; readonly exp: number; readonly sub: string },
  { now, rename }: Required<At>,
): ValidatedSubject | string {
  const issuer = policy.issuers.find(({ id }) => id === rename(asked.from))
  if (issuer === undefined) return 'unknown'
  const { sub, exp } = asked
  const standard = { iss: issuer.issuer, sub, aud: AUDIENCE, jti: 'j', iat: now, exp: now + exp }
  const jwt = { type: 'jwt', signingInput: '', kid: 'k', claims: { ...asked.claims, ...standard } }
  const accepted = validateSubject(jwt as unknown as AuthenticToken, issuer, { type: 'jwt', now })
  return 'refused' in accepted ? accepted.refused.kind : accepted
}

function summaryOf({ grant, target, scopes, expiresAt, actors }: Authorised, now: number) {
  return {
    actors: actors.length,
    grant: String(grant.id),
    target: String(target.id),
    scopes,
    seconds: expiresAt - now,
  }
}

function withActors(grant: Grant, change: (actors: readonly ActorRule[]) => readonly ActorRule[]): Grant {
  return grant.actors === undefined ? grant : { ...grant, actors: change(grant.actors) }
}

function grantsMatching(grants: readonly Grant[], asked: Question): readonly string[] {
  return grants
    .filter((grant) => matches(indexPolicy(policyOf({ grants: [grant] })), asked))
    .map(({ id }) => id)
}

function matches(index: PolicyIndex, { from, claims, target, actor }: Question): boolean {
  const found = index.targets.get(target as TargetId)
  if (found === undefined) return false
  const acting = actor && { issuerId: actor.from as never, claims: actor.claims as JsonObject }
  const decision = decideGrant(index, {
    issuerId: from as never,
    claims: claims as JsonObject,
    actor: acting,
    target: found,
  })
  return !('kind' in decision)
}

describe('of every decision', () => {
  it('I10 nothing is allowed that no rule allows, and what is taken from the rules allows nothing new', async () => {
    let granted = 0
    await holds(
      fc.property(rivalGrants, rivalQuestion, fc.infiniteStream(fc.boolean()), (grants, asked, keep) => {
        expect(decisionOn(policyOf({ grants: [] }), asked)).toSatisfy(
          (decision) => typeof decision === 'string',
        )
        const matching = grantsMatching(grants, asked)
        const kept = grants.filter(() => keep.next().value)
        const decision = decisionOn(policyOf({ grants: kept }), asked)
        if (typeof decision === 'string') return
        granted++
        // Exactly one of the rules that were there before, and the only one of them that is left.
        expect(matching.filter((id) => kept.some((grant) => grant.id === id))).toEqual([
          (decision as { grant: string }).grant,
        ])
      }),
    )
    expect(granted).toBeGreaterThan(20)
  })

  it('I10 a further condition never allows what was not allowed', async () => {
    const further = rivalGrants
      .map((grants) => grants.flatMap(({ when }) => when))
      .filter((when) => when.length > 0)
    await holds(
      fc.property(rivalGrants, rivalQuestion, further, (grants, asked, [condition]) => {
        const narrow = <T extends { readonly when: readonly Condition[] }>(rule: T): T => ({
          ...rule,
          when: [...rule.when, condition as Condition],
        })
        const before = new Set(grantsMatching(grants, asked))
        const ofActors = grants.map((grant) => withActors(grant, (actors) => actors.map(narrow)))
        for (const narrowed of [grants.map(narrow), ofActors])
          for (const id of grantsMatching(narrowed, asked)) expect(before).toContain(id)
      }),
    )
  })

  it('I10 a condition that nobody knows is no policy', async () => {
    const shapes = fc.oneof(
      fc.constant({}),
      fc.constant([]),
      fc.constant(null),
      fc.constant({ a: {} }),
      fc.constant({ a: [] }),
      fc.constant({ a: [[1]] }),
      fc.constant({ a: null }),
      fc.constant({ a: [{ b: 1 }] }),
    )
    await holds(
      fc.property(
        shapes,
        fc.dictionary(fc.constantFrom('unless', 'if', 'not', 'any', 'when_not', 'deny'), fc.constant('x'), {
          minKeys: 1,
        }),
        (when, unknown) => {
          expect(findingsIn(withGrant({ when }))).not.toEqual([])
          expect(findingsIn(withGrant(unknown))).not.toEqual([])
          expect(PAYMENTS_CI).toHaveProperty('when')
        },
      ),
    )
  })

  it('I4 an exchange has an actor exactly where its grant wants one, and one that the grant is for', async () => {
    let acted = 0
    await holds(
      fc.property(rivalGrants, rivalQuestion, (grants, asked) => {
        const decision = decisionOn(policyOf({ grants }), asked)
        if (typeof decision === 'string') return
        if (asked.actor !== undefined) acted++
        const { grant, actors } = decision as { readonly grant: string; readonly actors: number }
        const rules = grants.find(({ id }) => id === grant)?.actors
        expect([actors, rules === undefined]).toEqual(asked.actor === undefined ? [0, true] : [1, false])
        if (asked.actor !== undefined)
          expect(rules?.map(({ issuer }) => String(issuer))).toContain(asked.actor.from)
        const without = decisionOn(policyOf({ grants }), { ...asked, actor: undefined })
        if (asked.actor !== undefined && typeof without !== 'string')
          expect((without as { readonly grant: string }).grant).not.toBe(grant)
      }),
    )
    expect(acted).toBeGreaterThan(20)
  })

  it('I20 the order of rules, conditions, issuers and targets decides nothing', async () => {
    await holds(
      fc.property(rivalGrants, rivalQuestion, fc.integer(), (grants, asked, seed) => {
        const shuffled = <T>(list: readonly T[]): T[] =>
          list.toSorted((a, b) => mix(seed, JSON.stringify(a)) - mix(seed, JSON.stringify(b)))
        const policy = policyOf({ grants })
        const other = {
          ...policy,
          issuers: shuffled(policy.issuers),
          targets: shuffled(policy.targets),
          grants: shuffled(policy.grants).map((grant) => ({
            ...grant,
            when: shuffled(grant.when).map((condition) => ({
              ...condition,
              anyOf: shuffled(condition.anyOf),
            })),
            ...(grant.actors && {
              actors: shuffled(grant.actors).map((actor) => ({ ...actor, when: shuffled(actor.when) })),
            }),
          })),
        }
        const decision = decisionOn(policy, asked)
        expect(decisionOn(other, asked)).toEqual(decision)
        expect(decisionOn(policy, asked)).toEqual(decision)
      }),
    )
  })

  it('I24 other clocks, other names and another order of claims lead to the same decision', async () => {
    const rename = (name: string): string =>
      name === 'broker' ? name : `renamed-${name.split('').toReversed().join('')}`
    await holds(
      fc.property(
        fc.oneof(grantList, rivalGrants),
        fc.oneof(question, rivalQuestion),
        fc.integer({ min: -1_000_000_000, max: 1_000_000_000 }),
        fc.constantFrom('time', 'names', 'claims'),
        (grants, asked, shift, what) => {
          const policy = policyOf({ grants })
          const decision = decisionOn(policy, asked)
          if (what === 'time') expect(decisionOn(policy, asked, { now: NOW + shift })).toEqual(decision)
          if (what === 'claims')
            expect(decisionOn(policy, { ...asked, claims: reversed(asked.claims) })).toEqual(decision)
          if (what !== 'names') return
          const renamed = policyOf({
            issuers: policy.issuers.map(({ id }) => issuerOf(rename(id), { issuer: issuerUrl(rename(id)) })),
            targets: policy.targets.map(({ id }) => targetOf(rename(id))),
            grants: grants.map(
              (grant) =>
                ({
                  ...withActors(grant, (actors) =>
                    actors.map((actor) => ({ ...actor, issuer: rename(actor.issuer) as never })),
                  ),
                  id: rename(grant.id),
                  issuer: rename(grant.issuer),
                  target: rename(grant.target),
                }) as unknown as Grant,
            ),
          })
          const back = decisionOn(renamed, asked, { rename })
          expect(back).toEqual(
            typeof decision === 'string' ? decision : renamedIn(decision as object, rename),
          )
        },
      ),
    )
  })

  it('I14 I24 the id of a token is of its kind, its issuer and its jti, and of nothing else', async () => {
    const text = fc.string({ maxLength: 12 })
    const identity = fc.record({ issuer: text, jti: fc.option(text, { nil: undefined }), signingInput: text })
    await holds(
      fc.property(identity, identity, (one, other) => {
        const idOf = (token: typeof one) => tokenIdOf({ kind: 'token', ...token })
        const isSame =
          one.jti === undefined || other.jti === undefined
            ? one.jti === other.jti && one.signingInput === other.signingInput
            : one.issuer === other.issuer && one.jti === other.jti
        expect(idOf(one) === idOf(other)).toBe(isSame)
        expect(idOf({ ...one, jti: 'j' })).toBe(idOf({ ...one, jti: 'j', signingInput: other.signingInput }))
      }),
    )
  })
})

function mix(seed: number, text: string): number {
  let hash = seed
  for (let at = 0; at < text.length; at++) hash = (Math.imul(hash, 31) + text.charCodeAt(at)) | 0
  return hash
}

function reversed(value: unknown): never {
  if (Array.isArray(value)) return value.map(reversed) as never
  if (typeof value !== 'object' || value === null) return value as never
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([name, member]) => [name, reversed(member)]),
  ) as never
}

function renamedIn(decision: object, rename: (name: string) => string): object {
  const { grant, target, ...rest } = decision as { readonly grant: string; readonly target: string }
  return { grant: rename(grant), target: rename(target), ...rest }
}
