import { describe, expect, it } from 'vitest'
import type { OcsfEvent } from '../../functions/core/audit-ocsf.ts'
import { affectedTokens, type IssuedToken, type RevocationKind } from '../../lib/cli/affected-tokens.ts'
import { type LineageNode, LineageSearch } from '../../lib/cli/lineage.ts'

/** Of two jobs; a worker acts for the first, and its token goes onward; another worker acts for the second. */
const grantOf = (token: string, changes: object = {}) => ({
  event: 'exchange_granted',
  token,
  jti: `jti-${token}`,
  subject: 'ci:job',
  subject_token: 'login',
  client_id: 'ci:job',
  issuer: 'ci',
  target: 'payments',
  txn: `txn-${token}`,
  kid: 'kid',
  lineage: ['login'],
  time: 100,
  expires_at: 400,
  ...changes,
})
const WORKER = {
  actors: ['pod:worker'],
  lineage_actors: [
    'token#worker-login',
    'token#worker-parent',
    'subject#pod:worker',
    'client#pod:worker',
    'client#shop',
    'issuer#https://pod',
    'lineage#worker-txn',
    'key#worker-kid',
  ],
}
const ACTED = grantOf('acted', {
  ...WORKER,
  actor: 'pod:worker',
  actor_issuer: 'pod',
  actor_token: 'worker-login',
})
const ONWARD = grantOf('onward', {
  ...WORKER,
  issuer: 'broker',
  txn: 'txn-acted',
  subject_token: 'acted',
  lineage: ['login', 'acted'],
})
const HELPED = grantOf('helped', {
  actor: 'pod:helper',
  actor_issuer: 'other',
  actor_token: 'helper-login',
  actors: ['pod:helper'],
  lineage_actors: ['token#helper-login', 'subject#pod:helper'],
})
const ALONE = grantOf('alone')
const ALL = [ACTED, ONWARD, HELPED, ALONE]

describe('of what is revoked, the tokens that end', () => {
  it.each<[RevocationKind, string]>([
    ['token', 'worker-parent'],
    ['upstream-token', 'worker-login'],
    ['subject', 'pod:worker'],
    ['client', 'pod:worker'],
    ['client', 'shop'],
    ['issuer', 'pod'],
    ['lineage', 'worker-txn'],
    ['key', 'worker-kid'],
    ['token', 'acted'],
  ])('are those in which an actor takes part, and their descendants: %s %s', (kind, id) => {
    const affected = affectedTokens(ALL as unknown as readonly IssuedToken[], kind, id)
    expect(affected.map(({ token }) => token)).toEqual(['acted', 'onward'])
  })

  it('are nobody else’s: what an actor’s name is part of is not that actor', () => {
    for (const id of ['pod:work', 'worker', 'subject#pod:worker'])
      expect(affectedTokens(ALL as unknown as readonly IssuedToken[], 'subject', id)).toEqual([])
  })
})

describe('a lineage', () => {
  const treesOf = (wanted: string, cutOffs: Readonly<Record<string, number>> = {}, events = ALL) => {
    const search = new LineageSearch(wanted)
    for (const event of events) search.add({ unmapped: { event } } as unknown as OcsfEvent)
    for (const [key, cutOff] of Object.entries(cutOffs)) search.revoke(key, cutOff)
    return { trees: search.trees(), keys: search.keys() }
  }
  const flat = (nodes: readonly LineageNode[]): readonly LineageNode[] =>
    nodes.flatMap((node) => [node, ...flat(node.children)])

  it('is found by an actor’s token, and names who acted by which', () => {
    const tokens = flat(treesOf('worker-login').trees)
    expect(tokens.map(({ token, issued }) => [token, issued?.actor])).toEqual([
      ['login', undefined],
      ['acted', { name: 'pod:worker', token: 'worker-login' }],
      ['onward', undefined],
    ])
  })

  it('is found by the name of an AWS session, and names that', () => {
    const sessionOf = (token: string, session_name: string) =>
      grantOf(token, { aws_session: { role_arn: 'arn:aws:iam::222222222222:role/a', session_name } })
    const sessions = [sessionOf('one', '42@one'), sessionOf('two', '42@two'), ALONE]
    const tokens = flat(treesOf('42@two', {}, sessions).trees)
    expect(tokens.map(({ token, issued }) => [token, issued?.session])).toEqual([
      ['login', undefined],
      ['two', { role: 'arn:aws:iam::222222222222:role/a', name: '42@two' }],
    ])
  })

  it.each([
    ['subject#pod:worker', 100],
    ['token#worker-login', 1],
    ['lineage#worker-txn', 1],
  ])('says what is revoked with an actor: %s', (key, cutOff) => {
    const { trees, keys } = treesOf('acted', { [key]: cutOff })
    expect(keys).toContain(key)
    expect(flat(trees).map(({ revokedBy }) => revokedBy)).toEqual([[], [key], [key]])
  })

  it('spares what was issued after the actor was cut off', () => {
    expect(flat(treesOf('acted', { 'subject#pod:worker': 99 }).trees)[1]?.revokedBy).toEqual([])
  })
})
