import { describe, expect, it } from 'vitest'
import { findingsIn, fullFindingsIn, POLICY, withGrant, withIssuer, withTarget } from './policy-fixture.ts'

describe('files that do not fit together', () => {
  it.each(['issuers', 'targets', 'grants'] as const)(
    'refuse an id that two files give among %s, naming both',
    (section) => {
      const [id] = Object.keys(POLICY[section])
      const [finding, ...others] = fullFindingsIn(POLICY, { [section]: POLICY[section] })
      expect(others).toEqual([])
      expect(finding).toMatchObject({ file: '1.yaml', line: 2, path: `${section}.${id}` })
      expect(finding?.message).toContain(`found a second ${section}.${id} (0.yaml:2:1)`)
    },
  )

  it('refuse defaults that two files give', () => {
    const defaults = { lifetime: '5m' }
    expect(findingsIn({ ...POLICY, defaults }, { defaults })).toEqual([
      'defaults: found a second defaults (0.yaml:1:1); allowed: each of them once in all files',
    ])
  })

  it.each([
    ['default target', withIssuer({ default_target: 'x' }), 'issuers.github.default_target: found "x"'],
    ['issuer', withGrant({ issuer: 'x' }), 'grants.payments-ci.issuer: found "x"'],
    [
      'issuer that objects inherit',
      withGrant({ issuer: 'constructor' }),
      'grants.payments-ci.issuer: found "constructor"',
    ],
    ['target', withGrant({ target: 'x' }), 'grants.payments-ci.target: found "x"; allowed: payments'],
  ])('refuse the name of a %s that is not there', (_, policy, start) => {
    expect(findingsIn(policy)).toEqual([expect.stringContaining(start)])
  })

  it('refuse the name of a client that is not there', () => {
    expect(findingsIn(withGrant({ client: 'x' }))).toContainEqual(
      'grants.payments-ci.client: found "x"; allowed: nothing: the policy defines none',
    )
  })

  it('accept a grant for our own tokens', () => {
    expect(findingsIn(withGrant({ issuer: 'broker', when: { aud: 'https://a.example' } }))).toEqual([])
  })

  it('refuse two issuers with one URL', () => {
    expect(findingsIn(withIssuer({}, 'github-2'))).toEqual([
      expect.stringContaining(
        'issuers.github-2.issuer: found "https://token.actions.githubusercontent.com", which issuers.github (0.yaml:2:1) has',
      ),
    ])
  })

  it('refuse two targets with one audience', () => {
    expect(findingsIn(withTarget({ resources: [] }, 'other'))).toEqual([
      expect.stringContaining(
        'targets.other.audience: found "https://payments.example.com", which targets.payments',
      ),
    ])
  })

  it('refuse two targets with one resource', () => {
    expect(findingsIn(withTarget({ audience: 'other' }, 'other'))).toEqual([
      expect.stringContaining('targets.other.resources[0]: found "https://payments.example.com/v1", which'),
    ])
  })

  it('are reported with everything else that is wrong, in reading order', () => {
    const findings = fullFindingsIn(
      { ...withGrant({ issuer: 'x', target: 'y' }), targets: {} },
      withIssuer({ clock_skew: '2m' }),
    )
    expect(findings.map(({ file }) => file)).toEqual(findings.map(({ file }) => file).toSorted())
    expect(findings.length).toBeGreaterThan(3)
  })
})
