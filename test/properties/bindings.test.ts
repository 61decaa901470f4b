import { createHash, randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readCertificate } from '../../functions/core/client-certificate.ts'
import type { PresentedKeys } from '../../functions/core/possession.ts'
import type { TokenBinding } from '../../functions/core/types.ts'
import { type CraftingKey, craftingKey, craftWithHeader } from '../attacks/crafted-jws.ts'
import { certificate, newKey } from '../support/certificates.ts'
import {
  type GrantSketch,
  grantOf,
  policyOf,
  SCOPES,
  TARGETS,
  targetOf,
  targetUrl,
  whenSubject,
} from './policies.ts'
import {
  BROKER_ISSUER,
  claimsOf,
  grantedIn,
  holds,
  NOW,
  PropertyBroker,
  signed,
  subjectClaims,
} from './world.ts'

type Cnf = Readonly<Record<string, string>>

const KEYS = [craftingKey('ES256', 'p'), craftingKey('ES256', 'p')] as const
const CERTIFICATES = KEYS.map(() => {
  const valid = [NOW * 1000 - 86_400_000, NOW * 1000 + 86_400_000] as const
  return readCertificate(certificate({ subject: [['CN', 'pay']], key: newKey(), valid }))
})

function thumbprintOf({ jwk: { crv, kty, x, y } }: CraftingKey): string {
  return createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url')
}

/** Which of two keys and certificates a request shows, if any. */
interface Shown {
  readonly key: 0 | 1 | undefined
  readonly certificate: 0 | 1 | undefined
}

function keysOf({ key, certificate: which }: Shown): PresentedKeys {
  const certificateShown = which === undefined ? undefined : CERTIFICATES[which]
  return { dpop: key === undefined ? [] : [proofBy(KEYS[key])], certificate: certificateShown }
}

function proofBy(key: CraftingKey): string {
  const claims = { jti: randomUUID(), htm: 'POST', htu: `${BROKER_ISSUER}/token`, iat: NOW }
  return craftWithHeader(key, { typ: 'dpop+jwt', alg: 'ES256', jwk: key.jwk }, claims)
}

/** What a token can be bound to by what is shown. */
function provenBy({ key, certificate: which }: Shown): Cnf {
  return {
    ...(key !== undefined && { jkt: thumbprintOf(KEYS[key]) }),
    ...(which !== undefined && { 'x5t#S256': CERTIFICATES[which]?.thumbprint ?? '' }),
  }
}

const isWithin = (part: Cnf, whole: Cnf) =>
  Object.entries(part).every(([name, value]) => whole[name] === value)
const one = fc.constantFrom<0 | 1 | undefined>(0, 1, undefined)
const shown: fc.Arbitrary<Shown> = fc.record({ key: one, certificate: one })
const binding = fc.constantFrom<TokenBinding>('none', 'dpop', 'mtls')

describe('of every chain of exchanges', () => {
  it('I12 a token is bound to no less than its parent, and only to what was proved; whoever proves less gets none', async () => {
    const hops = fc.array(fc.record({ to: fc.nat({ max: 2 }), shown }), { minLength: 1, maxLength: 3 })
    const bindings = fc.tuple(binding, binding, binding)
    await holds(
      fc.asyncProperty(bindings, fc.option(shown), hops, async (ofTargets, ofRoot, drawn) => {
        const sketch: GrantSketch = {
          issuer: 'one',
          target: 'red',
          when: whenSubject,
          scopes: SCOPES,
          defaults: SCOPES,
          lifetime: 300,
        }
        const grants = TARGETS.flatMap((target, at) =>
          ['one', 'broker'].map((issuer) => grantOf({ ...sketch, issuer, target }, `${issuer}-${at}`)),
        )
        const targets = TARGETS.map((target, at) => targetOf(target, { binding: ofTargets[at] ?? 'none' }))
        const broker = new PropertyBroker(policyOf({ grants, targets }))
        let parent: Cnf = ofRoot === null ? {} : provenBy(ofRoot)
        const cnf = Object.keys(parent).length > 0 && { cnf: parent }
        let token = signed('one', subjectClaims('one', { ...cnf, jti: randomUUID() }))
        for (const hop of drawn) {
          const form = { subject_token: token, audience: targetUrl(TARGETS[hop.to] ?? '') }
          const answer = grantedIn(await broker.present(form, { keys: keysOf(hop.shown) }))
          const proven = provenBy(hop.shown)
          const needed = { none: [], dpop: ['jkt'], mtls: ['x5t#S256'] }[ofTargets[hop.to] ?? 'none']
          const isProven = isWithin(parent, proven) && needed.every((name) => name in proven)
          expect(answer !== undefined).toBe(isProven)
          if (answer === undefined) return
          const child = (claimsOf(answer)['cnf'] ?? {}) as Cnf
          expect(isWithin(parent, child)).toBe(true)
          expect(isWithin(child, proven)).toBe(true)
          for (const name of needed) expect(child).toHaveProperty([name])
          // A proof is never ignored, whether or not anybody has asked for it.
          expect('jkt' in child).toBe('jkt' in proven)
          expect(answer.token_type).toBe('jkt' in child ? 'DPoP' : 'Bearer')
          parent = child
          token = answer.access_token
        }
      }),
      0.1,
    )
  })
})
