import { decodeJwt } from 'jose'
import { describe, expect, it, onTestFailed } from 'vitest'
import { introspect } from '../../functions/core/introspection.ts'
import { LIMITS } from '../../functions/core/limits.ts'
import { revokeByOperator } from '../../functions/core/operator-revocation.ts'
import { indexPolicy } from '../../functions/core/policy/decide.ts'
import { seededRandom } from '../../lib/local/aws/random.ts'
import { createTestBroker, NOW, PAYMENTS, RECEIPTS, type TestBroker } from '../support/broker.ts'
import { assertionParameters, basic, SECRETS } from '../support/clients.ts'
import { worldOf } from '../support/endpoints.ts'
import { onwardPolicy } from '../support/onward-policy.ts'

/* Invariant I9 over many tokens. Set SEED to repeat a run. */

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000_000)
const TOKENS = 1000
const SUBJECTS = 40
const CLIENTS = ['checkout', 'billing'] as const

/** A token in its tree, with whatever a revocation could hit it by. */
interface Node {
  readonly text: string
  readonly parent: Node | undefined
  readonly depth: number
  readonly login: string
  readonly subject: string
  readonly client: string | undefined
  /** Who was presented as acting, and whom the token names as actors. */
  readonly actor: Node | undefined
  readonly actors: readonly string[]
}

const random = seededRandom(SEED)
const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T

const JWT_TYPE = 'urn:ietf:params:oauth:token-type:jwt'
/** An actor's token: a login, or a token near to one, so that all that could revoke its descendants stays within the limit. */
const MOST_DEPTH_OF_ACTOR = 3

function mayAct(actor: Node, subject: string, actors: readonly string[]): boolean {
  const isShallow = actor.depth <= MOST_DEPTH_OF_ACTOR && actor.actors.length === 0 && actors.length < 3
  return isShallow && ![subject, ...actors].includes(actor.subject)
}

/** Grows trees: some tokens of logins, most of other tokens, the newest before all, so that some trees reach the limit. */
async function growForest(broker: TestBroker): Promise<readonly Node[]> {
  const nodes: Node[] = []
  const logins: { readonly text: string; readonly subject: string }[] = []
  for (let subject = 0; subject < SUBJECTS; subject++) {
    const sub = `worker-${subject}`
    for (let times = 0; times < 2; times++)
      logins.push({ text: await broker.subjectToken('pod', { sub }), subject: `pod:${sub}` })
  }
  while (nodes.length < TOKENS) {
    const open = nodes.filter(({ depth }) => depth < LIMITS.lineage)
    const drawn = random() < 0.1 ? undefined : pick(random() < 0.6 ? open.slice(-3) : open)
    // One chain to the limit there is in any case.
    const parent = nodes.length < LIMITS.lineage ? nodes.at(-1) : drawn
    const login = pick(logins)
    const client = parent !== undefined && random() < 0.1 ? pick(CLIENTS) : undefined
    const assertion = client && assertionParameters(await broker.assertion(client))
    const subject_token = parent?.text ?? login.text
    const subject = parent?.subject ?? login.subject
    const asked = pick(random() < 0.5 ? [...logins.map(loginNode)] : [...nodes, ...logins.map(loginNode)])
    const actors = parent?.actors ?? []
    const actor = random() < 0.25 && mayAct(asked, subject, actors) ? asked : undefined
    const outcome = await broker.exchange({
      subject_token,
      audience: onwardFrom(parent),
      ...assertion,
      ...(actor && { actor_token: actor.text, actor_token_type: JWT_TYPE }),
    })
    if ('refused' in outcome) throw new Error(JSON.stringify(outcome))
    nodes.push({
      text: outcome.answer.access_token,
      parent,
      depth: (parent?.depth ?? 0) + 1,
      login: parent?.login ?? login.text,
      subject,
      client,
      actor,
      actors: actor === undefined ? actors : [actor.subject, ...actors],
    })
  }
  return nodes
}

/** A login as an actor: what it could be revoked by, it has in common with no token. */
function loginNode({ text, subject }: { readonly text: string; readonly subject: string }): Node {
  const none = { parent: undefined, client: undefined, actor: undefined, actors: [] }
  return { ...none, text, subject, depth: 0, login: text }
}

function onwardFrom(parent: Node | undefined): string {
  return parent !== undefined && parent.depth % 2 === 1 ? RECEIPTS : PAYMENTS
}

function isWithin(node: Node | undefined, test: (node: Node) => boolean): boolean {
  return node !== undefined && (test(node) || isWithin(node.parent, test) || isWithin(node.actor, test))
}

/** Says of every token whether it is active, and what an exchange of it comes to. */
async function ask(broker: TestBroker, nodes: readonly Node[]): Promise<readonly string[]> {
  const world = { ...worldOf(broker), policy: indexPolicy(onwardPolicy()) }
  const authorization = [basic('legacy', SECRETS[0].secret)]
  const said: string[] = []
  for (const node of nodes) {
    const input = { parameters: [['token', node.text]] as const, authorization, wantsJwt: false }
    const seen = await introspect(input, { now: NOW, correlationId: 'c' }, world)
    if ('refused' in seen) throw new Error(JSON.stringify(seen))
    const active = JSON.stringify((seen.answer as { readonly active: boolean }).active)
    const onward = await broker.exchange({ subject_token: node.text, audience: onwardFrom(node) })
    said.push(`${active} ${'refused' in onward ? onward.refused.kind : 'granted'}`)
  }
  return said
}

/** What must be said, by descent alone. A token at the limit cannot go onward, revoked or not. */
function expected(node: Node, isHit: (node: Node) => boolean): string {
  const isDead = isWithin(node, isHit)
  if (node.depth === LIMITS.lineage) return `${!isDead} lineage_too_long`
  return isDead ? 'false token_revoked' : 'true granted'
}

describe('a thousand tokens in trees up to the limit', () => {
  it('die with what is revoked above them, and only those', async () => {
    onTestFailed(() => void process.stdout.write(`repeat it with SEED=${SEED}\n`))
    const broker = await createTestBroker(onwardPolicy())
    const world = { ...worldOf(broker), policy: indexPolicy(onwardPolicy()) }
    const nodes = await growForest(broker)
    const revoke = async (kind: string, what: { readonly token: string } | { readonly id: string }) => {
      const body = { kind, ...what, reason: 'leaked' }
      const outcome = await revokeByOperator({ author: 'arn', body }, { now: NOW, correlationId: 'c' }, world)
      expect(outcome).toHaveProperty('answer')
    }
    const hits: ((node: Node) => boolean)[] = []
    const isHit = (node: Node) => hits.some((hit) => hit(node))
    const alive = () => nodes.filter((node) => !isWithin(node, isHit))

    for (let revocations = 0; revocations < 8; revocations++) {
      const victim = pick(alive().filter(({ depth }) => depth > 1))
      await revoke('token', { token: victim.text })
      hits.push((node) => node === victim)
    }
    const afterTokens = nodes.length - alive().length
    expect(await ask(broker, nodes)).toEqual(nodes.map((node) => expected(node, isHit)))

    const [client] = CLIENTS
    const { subject } = pick(alive())
    await revoke('subject', { id: subject })
    hits.push((node) => node.subject === subject)
    const { login } = pick(alive())
    await revoke('upstream_token', { token: login })
    hits.push((node) => node.login === login)
    const first = pick(alive().filter(({ depth }) => depth === 1))
    await revoke('lineage', { id: String(decodeJwt(first.text)['txn']) })
    hits.push((node) => node === first)
    await revoke('client', { id: client })
    hits.push((node) => node.client === client)
    expect(await ask(broker, nodes)).toEqual(nodes.map((node) => expected(node, isHit)))

    const deepest = nodes.filter(({ depth }) => depth === LIMITS.lineage).length
    process.stdout.write(
      `revoked trees, seed ${SEED}: ${nodes.length} tokens, ${deepest} at the limit; 8 tokens revoked kill ${afterTokens}, ` +
        `a subject, login, lineage and client more kill ${nodes.length - alive().length - afterTokens}\n`,
    )
    expect(deepest).toBeGreaterThan(0)
    expect(alive().length).toBeGreaterThan(0)
  })
})
