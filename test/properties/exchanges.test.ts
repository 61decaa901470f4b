import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { actClaim } from '../../functions/core/act-claim.ts'
import type { ExchangeOutcome } from '../../functions/core/exchange.ts'
import { LIMITS } from '../../functions/core/limits.ts'
import type { ActorRule, Condition } from '../../functions/core/policy/compiled.ts'
import type { IssuerId } from '../../functions/core/types.ts'
import { decode } from '../support/tokens.ts'
import {
  claimSet,
  type GrantSketch,
  grantOf,
  grantSketch,
  ISSUERS,
  issuerOf,
  issuerUrl,
  policyOf,
  SCOPES,
  scopeList,
  TARGETS,
  targetOf,
  targetUrl,
  whenSubject,
} from './policies.ts'
import {
  claimsOf,
  type FormFields,
  grantedIn,
  holds,
  NOW,
  ownToken,
  PropertyBroker,
  reasonIn,
  signed,
  subjectClaims,
} from './world.ts'

const OPEN: GrantSketch = {
  issuer: 'one',
  target: 'red',
  when: whenSubject,
  scopes: SCOPES,
  defaults: ['read'],
  lifetime: 300,
}
const OPEN_POLICY = policyOf({ grants: [grantOf(OPEN, 'open')] })
const RED = targetUrl('red')

/** Onward from any target to any other, so that chains of any length can be drawn. */
const onward = (scopes: readonly string[], at: number) =>
  grantOf(
    {
      issuer: 'broker',
      target: TARGETS[at] ?? 'red',
      when: whenSubject,
      scopes,
      defaults: scopes,
      lifetime: 3600,
    },
    `onward-${at}`,
  )

const JWT_TYPE = 'urn:ietf:params:oauth:token-type:jwt'
const ANYBODY: readonly ActorRule[] = ISSUERS.map((issuer) => ({
  issuer: issuer as IssuerId,
  when: whenSubject,
}))
/** From outside and onward, with an actor and without one. */
const FOR_ANYBODY = ['one', 'broker'].flatMap((issuer) => [
  grantOf({ ...OPEN, issuer }, `${issuer}-plain`),
  grantOf({ ...OPEN, issuer, actors: ANYBODY }, `${issuer}-acted`),
])

function namesIn(act: unknown): readonly string[] {
  if (act === undefined) return []
  const { sub, act: earlier, ...others } = act as { readonly sub: string; readonly act?: unknown }
  expect(others).toEqual({})
  return [sub, ...namesIn(earlier)]
}

describe('of every exchange', () => {
  it('I1 the token ends no later than the subject’s, the actor’s, the grant, the target and the limit allow', async () => {
    const seconds = fc.integer({ min: 1, max: 86_400 })
    const when = fc.record({
      exp: fc.oneof(
        fc.integer({ min: -100, max: 90_000 }),
        fc.double({ min: -100, max: 90_000, noNaN: true }),
      ),
      iat: fc.option(fc.integer({ min: -90_000, max: 100 })),
      nbf: fc.option(fc.integer({ min: -90_000, max: 100 })),
      grant: fc.integer({ min: 1, max: 10_000 }),
      target: fc.integer({ min: 1, max: 10_000 }),
      most: seconds,
      skew: fc.integer({ min: 0, max: 60 }),
      actor: fc.option(fc.integer({ min: -100, max: 3600 })),
    })
    await holds(
      fc.asyncProperty(when, async ({ exp, iat, nbf, grant, target, most, skew, actor }) => {
        const actors = actor === null ? undefined : ANYBODY
        const policy = policyOf({
          grants: [grantOf({ ...OPEN, lifetime: grant, actors }, 'open')],
          issuers: [issuerOf('one', { maxLifetimeSeconds: most, clockSkewSeconds: skew }), issuerOf('two')],
          targets: [targetOf('red', { maxLifetimeSeconds: target })],
        })
        const times = {
          exp: NOW + exp,
          ...(iat !== null && { iat: NOW + iat }),
          ...(nbf !== null && { nbf: NOW + nbf }),
        }
        const token = signed('one', { ...subjectClaims('one'), iat: undefined, ...times })
        const answer = grantedIn(
          await new PropertyBroker(policy).present({
            subject_token: token,
            audience: RED,
            ...(actor !== null && {
              actor_token: signed(
                'two',
                subjectClaims('two', { sub: 'actor', exp: NOW + actor, iat: NOW - 100 }),
              ),
              actor_token_type: JWT_TYPE,
            }),
          }),
        )
        const isTimely = Math.floor(NOW + exp) > NOW && (iat ?? 0) <= skew && (nbf ?? 0) <= skew
        if (answer === undefined) return
        expect(isTimely).toBe(true)
        expect(claimsOf(answer)['exp']).toBeLessThanOrEqual(NOW + (actor ?? LIMITS.maxLifetimeSeconds))
        expect(Math.floor(exp) - (iat ?? 0)).toBeLessThanOrEqual(most)
        const claims = claimsOf(answer) as Record<'exp' | 'iat' | 'nbf', number>
        expect(claims.exp).toBeLessThanOrEqual(
          Math.min(Math.floor(NOW + exp), NOW + grant, NOW + target, NOW + LIMITS.maxLifetimeSeconds),
        )
        expect(claims.exp).toBeGreaterThan(NOW)
        expect([claims.iat, answer.expires_in]).toEqual([NOW, claims.exp - NOW])
        expect(claims.nbf).toBeLessThanOrEqual(claims.iat)
      }),
    )
  })

  it('I2 I3 along a chain no scope is gained, and each token is for the one target that was asked for', async () => {
    const hop = fc.record({
      to: fc.nat({ max: 2 }),
      scopes: scopeList,
      ask: fc.option(scopeList, { nil: undefined }),
      byResource: fc.boolean(),
    })
    await holds(
      fc.asyncProperty(scopeList, fc.array(hop, { minLength: 1, maxLength: 3 }), async (rootScopes, hops) => {
        const grants = [
          grantOf({ ...OPEN, scopes: rootScopes, defaults: rootScopes }, 'root'),
          ...TARGETS.map((_, at) => onward(hops[at % hops.length]?.scopes ?? [], at)),
        ]
        const broker = new PropertyBroker(policyOf({ grants }))
        let parent = await broker.present({
          subject_token: signed('one', subjectClaims('one')),
          audience: RED,
        })
        let held = scopesIn(parent)
        expect(rootScopes).toEqual(expect.arrayContaining(held))
        for (const { to, ask, byResource } of hops) {
          const answer = grantedIn(parent)
          if (answer === undefined) return
          const url = targetUrl(TARGETS[to] ?? '')
          const target: FormFields = byResource ? { resource: `${url}/v1` } : { audience: url }
          const scope = ask === undefined || ask.length === 0 ? undefined : ask.join(' ')
          parent = await broker.present({ subject_token: answer.access_token, ...target, scope })
          const child = grantedIn(parent)
          if (child === undefined) continue
          const scopes = scopesIn(parent)
          expect(held).toEqual(expect.arrayContaining(scopes))
          expect(grants[to + 1]?.scopes).toEqual(expect.arrayContaining([...scopes]))
          if (scope !== undefined) expect(scopes).toEqual(ask)
          expect(claimsOf(child)['aud']).toBe(url)
          held = scopes
        }
      }),
    )
  })

  it('I3 the audience is the one that policy has for what was asked, for that issuer, or there is no token', async () => {
    const names = fc.array(
      fc.oneof(
        { weight: 4, arbitrary: fc.constantFrom(...TARGETS.map(targetUrl)) },
        { weight: 1, arbitrary: fc.constantFrom('https://red.example.com', `${RED}/`, RED.toUpperCase()) },
        { weight: 1, arbitrary: fc.string({ maxLength: 20 }) },
      ),
      { maxLength: 3 },
    )
    let granted = 0
    await holds(
      fc.asyncProperty(
        fc.array(grantSketch, { maxLength: 4 }),
        fc.constantFrom('one', 'two'),
        claimSet,
        names,
        async (sketches, from, claims, audience) => {
          const drawn = sketches.map((sketch, at) => grantOf(sketch, `grant-${at}`))
          // One that is open, or hardly any exchange would be granted.
          const grants = [...drawn, grantOf(OPEN, 'open')]
          const broker = new PropertyBroker(policyOf({ grants }))
          const answer = grantedIn(
            await broker.present({ subject_token: signed(from, subjectClaims(from, claims)), audience }),
          )
          if (answer === undefined) return
          granted++
          const { aud, grant } = claimsOf(answer)
          const named = audience.filter((name) => name !== '')
          expect(new Set(named)).toEqual(new Set([aud]))
          const allowed = grants.find(({ id }) => id === grant)
          expect([allowed?.issuer, targetUrl(allowed?.target ?? '')]).toEqual([from, aud])
        },
      ),
    )
    expect(granted).toBeGreaterThan(20)
  })

  it('I4 an act that somebody else wrote decides nothing and is not passed on; a may_act that names nobody lets nobody in', async () => {
    const act: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
      act: fc.record(
        { sub: fc.string({ maxLength: 5 }), iss: fc.constantFrom(issuerUrl('two'), 'x'), act: tie('act') },
        { requiredKeys: [] },
      ),
    })).act
    await holds(
      fc.asyncProperty(
        grantSketch,
        claimSet,
        fc.oneof(act, fc.jsonValue({ maxDepth: 2 })),
        fc.constantFrom('act', 'may_act', 'both tokens'),
        async (sketch, claims, written, where) => {
          const grants = [grantOf({ ...sketch, issuer: 'one' }, 'only')]
          const ask = async (more: object, form: FormFields = {}) => {
            const subject_token = signed('one', subjectClaims('one', { ...claims, ...more }))
            const broker = new PropertyBroker(policyOf({ grants }))
            return broker.present({ subject_token, audience: targetUrl(sketch.target), ...form })
          }
          const actor = (more: object) => ({
            actor_token: signed('two', subjectClaims('two', { sub: 'actor', ...more })),
            actor_token_type: 'urn:ietf:params:oauth:token-type:jwt',
          })
          if (where === 'may_act') {
            expect(grantedIn(await ask({ may_act: written }))).toBeUndefined()
            expect(grantedIn(await ask({ may_act: written }, actor({})))).toBeUndefined()
            return
          }
          const form = where === 'act' ? {} : actor({})
          const without = await ask({}, form)
          const chained = await ask({ act: written }, form)
          if (reasonIn(chained) !== 'token_malformed') expect(reasonIn(chained)).toBe(reasonIn(without))
          const answer = grantedIn(chained)
          if (answer !== undefined)
            expect(claimsOf(answer)['act']).toEqual(where === 'act' ? undefined : { sub: 'two:actor' })
          if (where === 'both tokens')
            expect(grantedIn(await ask({}, actor({ act: written })))).toBeUndefined()
        },
      ),
    )
  })

  it('I4 actors are put in front, none is dropped, none comes twice, and there are as many as policy allows', async () => {
    const hop = fc.record({
      actor: fc.constantFrom(undefined, 'a', 'b', 'c', 'd', 'subject'),
      exp: fc.integer({ min: 1, max: 600 }),
    })
    const hops = fc.array(hop, { minLength: 1, maxLength: 4 })
    await holds(
      fc.asyncProperty(hops, fc.integer({ min: 0, max: 3 }), async (drawn, maxDelegationDepth) => {
        const broker = new PropertyBroker({ ...policyOf({ grants: FOR_ANYBODY }), maxDelegationDepth })
        let token = signed('one', subjectClaims('one', { exp: NOW + 500 }))
        let actors: readonly string[] = []
        let end = NOW + 300
        for (const { actor, exp } of drawn) {
          const from = actor === 'subject' ? 'one' : 'two'
          const actorToken =
            actor && signed(from, subjectClaims(from, { sub: actor, exp: NOW + exp, jti: actor }))
          const outcome = await broker.present({
            subject_token: token,
            audience: RED,
            ...(actorToken && { actor_token: actorToken, actor_token_type: JWT_TYPE }),
          })
          const named = actor === undefined ? [] : [`${from}:${actor}`]
          const isLoop = named.some((name) => ['one:subject', ...actors].includes(name))
          const isTooDeep = actors.length + named.length > maxDelegationDepth
          const expected = isLoop ? 'delegation_loop' : isTooDeep ? 'delegation_too_deep' : 'granted'
          expect(reasonIn(outcome)).toBe(expected)
          const answer = grantedIn(outcome)
          if (answer === undefined) return
          const claims = claimsOf(answer)
          actors = [...named, ...actors]
          end = Math.min(end, actor === undefined ? end : NOW + exp)
          expect(namesIn(claims['act'])).toEqual(actors)
          expect([claims['sub'], claims['exp']]).toEqual(['one:subject', end])
          const carried = (claims['lineage_actors'] as string[] | undefined) ?? []
          for (const name of actors) expect(carried).toContain(`subject#${name}`)
          token = answer.access_token
        }
      }),
    )
  })

  it('I4 earlier actors decide nothing', async () => {
    const names = fc.uniqueArray(fc.constantFrom('two:a', 'two:b', 'two:c', 'one:d', 'x'), {
      minLength: 2,
      maxLength: 2,
    })
    const current = fc.constantFrom<Condition>(
      { path: ['act', 'sub'], anyOf: [{ kind: 'equals', value: 'two:current' }] },
      { path: ['act', 'sub'], anyOf: [{ kind: 'glob', pattern: 'two:a' }] },
    )
    await holds(
      fc.asyncProperty(current, names, names, fc.boolean(), async (condition, one, other, withActor) => {
        const grants = [
          grantOf({ ...OPEN, issuer: 'broker', when: [...whenSubject, condition] }, 'plain'),
          grantOf({ ...OPEN, issuer: 'broker', when: [...whenSubject, condition], actors: ANYBODY }, 'acted'),
        ]
        const ask = async (earlier: readonly string[]) => {
          const act = actClaim(['two:current', ...earlier.slice(0, 1)])
          return new PropertyBroker(policyOf({ grants })).present({
            subject_token: await ownToken({ act }),
            audience: RED,
            ...(withActor && {
              actor_token: signed('two', subjectClaims('two', { sub: 'new' })),
              actor_token_type: JWT_TYPE,
            }),
          })
        }
        const [first, second] = [await ask(one), await ask(other)]
        expect(reasonIn(second)).toBe(reasonIn(first))
        const isForCurrent = condition.anyOf.some(({ kind }) => kind === 'equals')
        expect(reasonIn(first)).toBe(isForCurrent ? 'granted' : 'no_grant_matches')
      }),
    )
  })

  it('I5 a token that may be used once leads to one token, however requests and retries meet', async () => {
    const token = signed('one', subjectClaims('one'))
    const policy = policyOf({
      grants: [grantOf(OPEN, 'open')],
      issuers: [issuerOf('one', { replay: 'single-use' })],
    })
    const request = fc.record({
      key: fc.constantFrom(undefined, 'idempotency-key-one', 'idempotency-key-two'),
      scope: fc.constantFrom(undefined, 'read', 'write'),
      after: fc.constantFrom(0, 1, 59, 61, 200),
      writes: fc.integer({ min: 1, max: 2 }),
    })
    await holds(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(request, { minLength: 2, maxLength: 3 }),
        async (scheduler, requests) => {
          const broker = new PropertyBroker(policy)
          const record = broker.ledger.record
          const outcomes: Promise<ExchangeOutcome>[] = requests.map(({ key, scope, after, writes }) => {
            // A write that the SDK repeats, since its first answer was lost, at whatever moment.
            const ledger = {
              record: scheduler.scheduleFunction(async (exchange: Parameters<typeof record>[0]) => {
                for (let write = 1; write < writes; write++) await record(exchange)
                return record(exchange)
              }),
            }
            const mine = Object.assign(Object.create(PropertyBroker.prototype), {
              world: { ...broker.world, ledger },
            }) as PropertyBroker
            return mine.present(
              { subject_token: token, audience: RED, scope },
              { now: NOW + after, idempotencyKey: key },
            )
          })
          await scheduler.waitFor(Promise.all(outcomes))
          const released = (await Promise.all(outcomes)).flatMap((outcome) => grantedIn(outcome) ?? [])
          const tokens = released.map((answer) =>
            JSON.stringify(pick(claimsOf(answer), ['jti', 'iat', 'exp', 'aud', 'scope', 'sub'])),
          )
          expect(new Set(tokens).size).toBeLessThanOrEqual(1)
          expect(broker.ledger.records.size).toBe(1)
        },
      ),
    )
  })

  it('I6 what is refused changes nothing: no record, no look-up, no signature', async () => {
    await holds(
      fc.asyncProperty(
        hostileToken(),
        fc.dictionary(
          fc.constantFrom(
            'scope',
            'resource',
            'requested_token_type',
            'actor_token',
            'client_secret',
            'audience',
          ),
          fc.string({ maxLength: 10 }),
          { maxKeys: 2 },
        ),
        async (subject_token, form) => {
          const broker = new PropertyBroker(OPEN_POLICY)
          const outcome = await broker.present({ audience: RED, ...form, subject_token })
          if (reasonIn(outcome) === 'granted')
            expect(broker.calls.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(['cutOffs', 'record', 'sign'])
          else expect([broker.calls, broker.ledger.records.size]).toEqual([[], 0])
        },
      ),
    )
  })

  it('I11 no byte that nobody verified changes what is decided, but to a refusal', async () => {
    const base = signed('one', subjectClaims('one'))
    const broker = new PropertyBroker(OPEN_POLICY)
    const expected = decisionIn(await broker.present({ subject_token: base, audience: RED }))
    const change = fc.record({
      at: fc.nat({ max: base.length - 1 }),
      to: fc.constantFrom('A', 'Q', 'g', 'w', '4', '_', '-', '.', '=', '+', '/', ' ', '\n', '\0', 'é'),
      how: fc.constantFrom('replace', 'insert', 'remove'),
    })
    const noise = fc.dictionary(
      fc.string({ minLength: 1, maxLength: 8 }).filter((name) => !KNOWN.has(name)),
      fc.string({ maxLength: 8 }),
      { maxKeys: 3, noNullPrototype: true },
    )
    await holds(
      fc.asyncProperty(fc.array(change, { maxLength: 2 }), noise, async (changes, unknown) => {
        const text = changes.reduce(
          (token, { at, to, how }) =>
            token.slice(0, at) + (how === 'remove' ? '' : to) + token.slice(how === 'insert' ? at : at + 1),
          base,
        )
        const outcome = await broker.present({ ...unknown, subject_token: text, audience: RED })
        // What was verified decides; and that is either all there or not.
        expect([expected, text === base ? expected : undefined]).toContainEqual(decisionIn(outcome))
      }),
    )
  })

  it('I14 whatever the text of a token is, it can be used once', async () => {
    const policy = policyOf({
      grants: [grantOf(OPEN, 'open')],
      issuers: [issuerOf('one', { replay: 'single-use' })],
    })
    const rewriting = fc.record({
      spaces: fc.constantFrom(0, 1, 2),
      reversed: fc.boolean(),
      header: fc.dictionary(fc.constantFrom('x', 'y'), fc.string({ maxLength: 3 })),
      claims: fc.dictionary(fc.constantFrom('x', 'y'), fc.string({ maxLength: 3 })),
      twin: fc.boolean(),
      jti: fc.string({ minLength: 1, maxLength: 20 }).filter((jti) => !/\p{Surrogate}/u.test(jti)),
    })
    await holds(
      fc.asyncProperty(rewriting, async ({ spaces, reversed, header, claims, twin, jti }) => {
        const broker = new PropertyBroker(policy)
        const original = subjectClaims('one', { jti })
        const first = signed('one', original)
        expect(reasonIn(await broker.present({ subject_token: first, audience: RED }))).toBe('granted')
        // Signed anew by its issuer: the same token by its jti, in another text. Or the same text with the signature's twin.
        const entries = Object.entries({ ...original, ...claims })
        const again = signed(
          'one',
          JSON.stringify(Object.fromEntries(reversed ? entries.toReversed() : entries), null, spaces),
          header,
        )
        const variant = twin ? twinOf(first) : again
        expect(reasonIn(await broker.present({ subject_token: variant, audience: RED }))).toBe(
          'token_replayed',
        )
      }),
    )
  })
})

const KNOWN: ReadonlySet<string> = new Set([
  'grant_type',
  'subject_token',
  'subject_token_type',
  'actor_token',
  'actor_token_type',
  'audience',
  'resource',
  'scope',
  'requested_token_type',
  'client_secret',
  'client_assertion',
  'client_assertion_type',
  '__proto__',
])
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n

/** ECDSA accepts (r, n - s) wherever it accepts (r, s). */
function twinOf(token: string): string {
  const dot = token.lastIndexOf('.')
  const signature = Buffer.from(token.slice(dot + 1), 'base64url')
  const s = ORDER - BigInt(`0x${signature.subarray(32).toString('hex')}`)
  const twin = Buffer.concat([
    signature.subarray(0, 32),
    Buffer.from(s.toString(16).padStart(64, '0'), 'hex'),
  ])
  return `${token.slice(0, dot)}.${twin.toString('base64url')}`
}

/** Tokens that are wrong in one of many ways, and some that are right. */
function hostileToken(): fc.Arbitrary<string> {
  const good = signed('one', subjectClaims('one'))
  const claim = fc.constantFrom('iss', 'sub', 'aud', 'exp', 'iat', 'nbf', 'jti', 'cnf', 'scope')
  return fc.oneof(
    fc.constant(good),
    fc.string({ maxLength: 40 }),
    fc
      .tuple(claim, fc.jsonValue({ maxDepth: 1 }))
      .map(([name, value]) => signed('one', subjectClaims('one', { [name]: value }))),
    fc
      .tuple(fc.constantFrom('alg', 'kid', 'typ', 'crit', 'jwk', 'x'), fc.jsonValue({ maxDepth: 1 }))
      .map(([name, value]) => signed('one', subjectClaims('one'), { [name]: value })),
    fc.nat({ max: good.length - 1 }).map((at) => `${good.slice(0, at)}A${good.slice(at + 1)}`),
    fc.constantFrom('one', 'two').map((from) => signed(from, subjectClaims('one'))),
  )
}

function scopesIn(outcome: ExchangeOutcome): string[] {
  return grantedIn(outcome)?.scope?.split(' ') ?? []
}

/** What was decided, without what differs from token to token. */
function decisionIn(outcome: ExchangeOutcome): object | undefined {
  const answer = grantedIn(outcome)
  if (answer === undefined) return undefined
  const { jti, txn, ...claims } = decode(answer.access_token).claims
  return { claims, known: [typeof jti, typeof txn], scope: answer.scope, expires: answer.expires_in }
}

function pick(claims: Record<string, unknown>, names: readonly string[]): object {
  return Object.fromEntries(names.map((name) => [name, claims[name]]))
}
