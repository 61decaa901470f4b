import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type AwsSession,
  latestEndOf,
  type SessionRefusal,
  sessionFor,
} from '../../functions/core/aws-session.ts'
import type { AwsTarget } from '../../functions/core/policy/compiled.ts'
import { claimText } from '../../functions/core/policy/render-claims.ts'
import { sessionNameOf } from '../../functions/core/session-name.ts'
import type { JsonObject } from '../../functions/core/types.ts'
import { awsTarget } from '../support/aws-roles.ts'

const NOW = 1_800_000_000
const NAME = /^[\w+=,.@-]{2,64}$/
const TAG = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]{0,256}$/u

const template = fc.array(
  fc.oneof(
    fc.constantFrom('a', '-', 'team/', '='),
    fc.constant({ path: ['claim'] }),
    fc.constant({ path: ['other'] }),
  ),
  { maxLength: 4 },
)
const target: fc.Arbitrary<AwsTarget> = fc
  .record(
    {
      durationSeconds: fc.integer({ min: 900, max: 3600 }),
      outlive: fc.constantFrom('refuse' as const, 'deadline' as const),
      sessionName: template,
      sourceIdentity: template,
      sessionTags: fc.dictionary(fc.constantFrom('repository', 'run', 'team'), template),
      sessionPolicy: fc.constant<AwsTarget['sessionPolicy']>([
        { Effect: 'Allow', Action: ['s3:*'], Resource: [['arn:aws:s3:::b/', { path: ['claim'] }]] },
        { Effect: 'Deny', Action: ['s3:Delete*'], Resource: [['*']] },
      ]),
    },
    { requiredKeys: ['durationSeconds', 'outlive'] },
  )
  .map((changes) => awsTarget(changes as Partial<AwsTarget>))
const claim = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.stringMatching(/^[\w./@-]{1,80}$/),
  fc.constantFrom('*', '$a', 'arn:aws:s3:::x', 'a:b', '"', null, 7, true, ['x'], { a: 'x' }),
)
const claims = fc.record({ claim, other: claim }, { requiredKeys: [] }) as fc.Arbitrary<JsonObject>
const left = fc.integer({ min: -10, max: 8000 })
const subject = fc.string({ unit: 'binary', minLength: 1, maxLength: 300 })

function isRefused(session: AwsSession | SessionRefusal): session is SessionRefusal {
  return 'kind' in session
}

/** The parts of a policy that allow. */
function allowing(policy: string): readonly Record<string, Record<string, Record<string, string>>>[] {
  const { Statement } = JSON.parse(policy) as { readonly Statement: readonly Record<string, never>[] }
  return Statement.filter((statement) => (statement['Effect'] as unknown) === 'Allow')
}

describe('I19 a session that STS is asked for', () => {
  it('fits the grammar of AWS, is narrowed where policy says so, and ends with the subject’s token', () => {
    fc.assert(
      fc.property(target, claims, left, subject, (role, given, seconds, name) => {
        const about = { subject: name, claims: given, expiresAt: NOW + seconds }
        const session = sessionFor(role, about, NOW)
        if (isRefused(session)) return
        const { durationSeconds, policy, deadline } = session
        expect(durationSeconds).toBeGreaterThanOrEqual(900)
        expect(durationSeconds).toBeLessThanOrEqual(role.durationSeconds)
        expect(session.sessionName).toMatch(NAME)
        if (role.sourceIdentity !== undefined) expect(session.sourceIdentity).toMatch(NAME)
        expect(Object.keys(session.tags)).toEqual(Object.keys(role.sessionTags))
        for (const value of Object.values(session.tags)) expect(value).toMatch(TAG)
        if (role.sessionPolicy !== undefined) expect(allowing(policy ?? '')).toHaveLength(1)
        expect((policy ?? '').length).toBeLessThanOrEqual(2048)
        const ends = deadline ?? NOW + 5 + durationSeconds
        expect(ends).toBeLessThanOrEqual(about.expiresAt)
        expect(latestEndOf(session, about.expiresAt, NOW)).toBeLessThanOrEqual(about.expiresAt)
        if (deadline !== undefined)
          for (const { Condition } of allowing(policy ?? ''))
            expect(Date.parse(Condition?.['DateLessThan']?.['aws:CurrentTime'] ?? '')).toBe(deadline * 1000)
      }),
    )
  })

  it('inserts no claim that is more than a text in its place', () => {
    fc.assert(
      fc.property(claims, (given) => {
        const role = awsTarget({
          ...{ sessionTags: {}, transitiveTags: [] },
          sessionPolicy: [
            { Effect: 'Allow', Action: ['s3:*'], Resource: [['arn:aws:s3:::b/', { path: ['claim'] }]] },
          ],
        })
        const session = sessionFor(role, { subject: 'a:b', claims: given, expiresAt: NOW + 3600 }, NOW)
        if (isRefused(session)) return
        const inserted = claimText(given, ['claim']) ?? ''
        expect(inserted).not.toMatch(/[*?$:"{}\\]/)
        expect(JSON.parse(session.policy ?? '')).toEqual({
          Version: '2012-10-17',
          Statement: [{ Effect: 'Allow', Action: ['s3:*'], Resource: [`arn:aws:s3:::b/${inserted}`] }],
        })
      }),
    )
  })
})

describe('I19 the name of a session', () => {
  const any = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.stringMatching(/^[\w+=,.@-]{0,70}$/),
    // What another text was made into.
    fc.string({ unit: 'binary', maxLength: 100 }).map(sessionNameOf),
    // Texts that UTF-8 cannot tell apart.
    fc.constantFrom('\ud800', '\ud801', '\ufffd'),
  )

  it('is one that AWS takes, for any text', () => {
    fc.assert(
      fc.property(any, (text) => {
        expect(sessionNameOf(text)).toMatch(NAME)
      }),
    )
  })

  it('is never that of another text', () => {
    fc.assert(
      fc.property(any, any, (a, b) => {
        expect(sessionNameOf(a) === sessionNameOf(b)).toBe(a === b)
      }),
      {
        examples: [
          ['a b', sessionNameOf('a b')],
          ['\ud800', '\ud801'],
          ['a b', 'a;b'],
          ['x', 'y'],
        ],
      },
    )
  })

  it('is the text itself wherever that can be one', () => {
    for (const text of ['ci-7', 'octocat', 'a=b', 'x'.repeat(64)]) expect(sessionNameOf(text)).toBe(text)
  })
})
