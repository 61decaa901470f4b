import { GetCallerIdentityCommand } from '@aws-sdk/client-sts'
import { DynamoDbRevocationRegister } from '../../functions/adapters/dynamodb-revocation-register.ts'
import {
  type KeyRevocationPlan,
  planKeyRevocation,
  withKeyRevoked,
} from '../../functions/core/key-emergency.ts'
import type { KeyManifest } from '../../functions/core/key-lifecycle.ts'
import { LIMITS } from '../../functions/core/limits.ts'
import type { SigningKeyFactory } from '../../functions/core/ports.ts'
import { isDelegated } from '../../functions/core/signing-ring.ts'
import type { RingName } from '../../functions/core/types.ts'
import { type KeyRotation, stepWorldOf } from '../../functions/rotate-keys/reconcile.ts'
import {
  type Command,
  type CommandContext,
  CommandFailed,
  DEPLOYMENT_OPTIONS,
  PLAN_OPTIONS,
  UsageError,
} from './command.ts'
import { confirmPlan } from './confirm.ts'
import type { Deployment } from './deployment.ts'
import { explain } from './explain.ts'
import { keyWorld, readRings, ringChanged } from './key-world.ts'
import { postRevocation } from './post-revocation.ts'
import { reasonOf } from './reason.ts'
import { durationOf, timeOf } from './times.ts'

/** The ring may be written by the rotation meanwhile; a person has decided already, so it is tried again. */
const MAX_WRITES = 5

interface PlannedRevocation extends KeyRevocationPlan {
  readonly ring: RingName
  /** Next keys that KMS does not sign with. */
  readonly refused: readonly string[]
}

export const keysRevoke: Command = {
  path: ['keys', 'revoke'],
  summary: 'end a compromised signing key, and every token that it has signed',
  arguments: '<kid>',
  details:
    'Three steps, each of which may be repeated: the broker revokes its tokens and their descendants; it leaves the key set,\n' +
    'and the next key takes over in the same write; KMS disables it. After a failure run the same command again.',
  example:
    'npx token-broker keys revoke 2nzg0n2QABCP91QaOV5jxKjGw5kpTf8Z7WZfY86XCXE --reason "INC-7: role stolen"',
  options: {
    ...DEPLOYMENT_OPTIONS,
    ...PLAN_OPTIONS,
    reason: { type: 'string', value: 'TEXT', description: 'required: why, for the record' },
    directly: {
      type: 'boolean',
      description:
        'if the broker cannot be reached: write the cut-off to the table, and go without in the audit trail',
    },
  },
  run: async (context) => {
    const [kid, ...more] = context.arguments
    if (kid === undefined || more.length > 0) throw new UsageError('keys revoke takes one kid')
    const reason = reasonOf(context)
    const deployment = await context.deployment()
    const world = keyWorld(deployment, context.now)
    const { Arn: author = 'unknown' } = await deployment.sts.send(new GetCallerIdentityCommand({}))
    const plan = await planned(kid, world, deployment)
    const lines = planLines(plan, { deployment, author, reason, now: context.now() })
    if (context.flag('directly')) lines.push('  THE AUDIT TRAIL WILL LACK THIS REVOCATION: --directly')
    await confirmPlan(context, lines, `Revoke this key in ${deployment.stage}, for good?`)
    await revoke(plan, { context, deployment, world, author, reason })
    return 0
  },
}

async function planned(kid: string, world: KeyRotation, { tables }: Deployment): Promise<PlannedRevocation> {
  const manifests = await readRings(world, tables.signingKeys)
  const manifest = manifests.find(({ keys }) => keys.some((key) => key.kid === kid))
  if (manifest === undefined)
    throw new CommandFailed(`no ring has a key ${kid}`, 'see which there are: npx token-broker keys list')
  const { factory, times } = stepWorldOf(manifest.ring, world)
  const refused = await refusedKeys(manifest, factory)
  const plan = planKeyRevocation(manifest, kid, { times, refused })
  if (plan === undefined) throw new Error(`no plan for key ${kid}`)
  return { ...plan, ring: manifest.ring, refused }
}

/** A key that KMS does not sign with must not take over. */
async function refusedKeys({ keys }: KeyManifest, factory: SigningKeyFactory): Promise<readonly string[]> {
  const next = keys.filter(({ state }) => state === 'published')
  const proofs = await Promise.all(next.map(async (key) => [key.kid, await factory.prove(key)] as const))
  return proofs.filter(([, proof]) => proof === 'refused').map(([kid]) => kid)
}

function planLines(
  plan: PlannedRevocation,
  given: {
    readonly deployment: Deployment
    readonly author: string
    readonly reason: string
    readonly now: number
  },
): string[] {
  const { key, ring, leavesJwks } = plan
  const { deployment, author, reason, now } = given
  const caches = deployment.verifierCacheSeconds + LIMITS.jwksMaxAgeSeconds + LIMITS.publishedManifestSeconds
  return [
    `Key ${key.kid}, ring ${ring}, ${key.state} since ${timeOf(key.since)}`,
    `  by ${author}, because: ${reason}`,
    '  1. Every token that it has signed, and every descendant of one, is revoked at once, wherever the broker is asked.',
    leavesJwks
      ? `  2. It leaves the key set within ${LIMITS.publishedManifestSeconds} s; HTTP caches may keep the set ${durationOf(LIMITS.jwksMaxAgeSeconds)} more.`
      : `  2. It has left the key set already: it is ${key.state}.`,
    ...successorLines(plan, now),
    isDelegated(key)
      ? '  3. Its private half is erased from the table. WHOEVER HAS A COPY CAN STILL SIGN: only those who verify can stop that.'
      : '  3. KMS disables it, so that nobody can sign with it; it is deleted in 37 days at the earliest.',
    ...(leavesJwks
      ? [
          `  Services that verify offline accept its tokens, also FORGED ones, until they read the keys again: up to ${durationOf(caches)}.`,
          '  Tell them to restart, or to drop their cached keys.',
        ]
      : []),
  ]
}

function successorLines({ wasActive, successor, knownFrom, ring }: PlannedRevocation, now: number): string[] {
  if (!wasActive) return []
  if (successor === undefined)
    return [
      `     NO KEY IS THERE TO TAKE OVER: exchanges for ${ring} are answered 503 until one is made and activated:`,
      '       npx token-broker keys reconcile',
      `       npx token-broker keys rotate --now --before-caches-expire --ring ${ring}`,
    ]
  const takesOver = `     ${successor.kid} signs from the same write on.`
  if (knownFrom === undefined || knownFrom <= now) return [`${takesOver} Every verifier has it already.`]
  return [
    takesOver,
    `     It is young: verifiers with an old key set refuse new tokens for up to ${durationOf(knownFrom - now)}.`,
  ]
}

interface Work {
  readonly context: CommandContext
  readonly deployment: Deployment
  readonly world: KeyRotation
  readonly author: string
  readonly reason: string
}

/** In this order: from the first step on no token of the key is worth anything, whatever becomes of the others. */
async function revoke(plan: PlannedRevocation, work: Work): Promise<void> {
  const { context, world, reason } = work
  const { terminal, flag } = context
  const { key } = plan
  const { kid } = key
  const { at, author } = flag('directly')
    ? await step('revoking its tokens', () => revokeDirectly(kid, work))
    : await step('revoking its tokens', () => revokeByBroker(kid, work), OR_DIRECTLY)
  terminal.err('1. its tokens are revoked')
  const done = await step('taking it out of the key set', () => leaveKeySet(plan, world))
  terminal.err('2. it is out of the key set')
  if (isDelegated(key)) terminal.err('3. its private half is erased')
  else {
    await step('disabling it in KMS', () => world.inventory.disable(key.keyArn))
    terminal.err('3. KMS does not sign with it any more')
  }
  const successor = done.successor?.kid
  if (flag('json')) {
    const result = {
      kid,
      ring: plan.ring,
      revoked_at: at,
      author,
      reason,
      successor,
      known_from: done.knownFrom,
    }
    terminal.out(JSON.stringify(result, null, 2))
    return
  }
  const then = successor === undefined ? '' : ` ${successor} signs.`
  terminal.out(`Key ${kid} is revoked.${then} See: npx token-broker keys list`)
}

interface CutOff {
  /** Epoch seconds. */
  readonly at: number
  readonly author: string
}

/** The broker tells the audit trail. */
async function revokeByBroker(kid: string, { deployment, author, reason }: Work): Promise<CutOff> {
  const { at, author: known } = await postRevocation(deployment, { kind: 'key', id: kid, reason })
  if (typeof at !== 'number')
    throw new CommandFailed('the broker did not say that it has revoked', 'try again')
  return { at, author: typeof known === 'string' ? known : author }
}

/** For when the broker is down: whoever holds the key does not wait until it is up. */
async function revokeDirectly(kid: string, { context, deployment, author, reason }: Work): Promise<CutOff> {
  const { terminal, now } = context
  const at = now()
  const register = new DynamoDbRevocationRegister(deployment.dynamoDb, deployment.tables.revocations)
  await register.revoke([{ key: `key#${kid}`, cutOff: at, reason, author, at }])
  terminal.err(
    `${terminal.style('yellow', 'note', 'err')}  the audit trail lacks this revocation; to have it there: ` +
      `npx token-broker revoke key ${kid} --reason "…", when the broker is up`,
  )
  return { at, author }
}

const OR_DIRECTLY =
  'if the broker cannot be reached, add --directly: that writes to the table, and the audit trail will lack it'

/** A step that failed may be half done: to do all of them again is what mends it. */
async function step<T>(name: string, work: () => Promise<T>, more?: string): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const { message, next } = explain(error) ?? {}
    if (message === undefined) throw error
    const repeat = 'THE KEY IS NOT FULLY REVOKED: run the same command again, each step may be repeated'
    const steps = [repeat, next, more].filter((it) => it !== undefined)
    throw new CommandFailed(`${name} failed: ${message}`, steps.join('; '), { cause: error })
  }
}

async function leaveKeySet(planned: PlannedRevocation, world: KeyRotation): Promise<KeyRevocationPlan> {
  const { store, now } = world
  const { key, ring, refused } = planned
  const { times } = stepWorldOf(ring, world)
  for (let writes = 0; writes < MAX_WRITES; writes++) {
    const manifest = await store.read(ring)
    const plan = manifest && planKeyRevocation(manifest, key.kid, { times, refused })
    // Its entry was dropped meanwhile: KMS has deleted it.
    if (manifest === undefined || plan === undefined) return planned
    const next = withKeyRevoked(manifest, plan, now())
    if (next === manifest || (await store.save(next)) === 'saved') return plan
  }
  throw ringChanged(ring)
}
