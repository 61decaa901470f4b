import { PAYMENTS, RECEIPTS } from '../support/cloud.ts'
import { type Exercise, type GameDay, tokenIn } from './exercise.ts'

const WORKLOADS = 12

export const revocation: GameDay = {
  name: 'revocation',
  about:
    'a workload token has leaked: it ends at once, with everything that came from it, and nothing else does',
  runbook: 'docs/runbooks/revocation.md',
  commands: [
    'npx token-broker revoke upstream-token - --stage prod --reason "INC-7" --dry-run',
    'npx token-broker revoke upstream-token - --stage prod --reason "INC-7"',
    'npx token-broker audit lineage <txn> --stage prod',
  ],
  async play(exercise) {
    exercise.say(`${WORKLOADS} workloads get a token each, and pass it on`)
    const families: Family[] = []
    while (families.length < WORKLOADS) families.push(await family(exercise, families.length))
    const before = await activeIn(exercise, families)
    exercise.check('every token is active', before.every(Boolean))
    await exercise.endPhase('before', 90)

    const [leaked, ...others] = families
    if (leaked === undefined) throw new Error('no family')
    exercise.say('one of the workload tokens is found in a paste')
    const asTold = ['revoke', 'upstream-token', '-', '--yes', '--reason', 'INC-7']
    const { code } = await exercise.pipe(leaked.subject, ...asTold)
    exercise.check('the command succeeds', code === 0)
    const answers = await Promise.all(Array.from({ length: 5 }, () => activeIn(exercise, [leaked])))
    exercise.check(
      'what it got, and what came from that, is inactive at once',
      answers.flat().every((one) => !one),
    )
    const again = await exercise.exchange(leaked.subject, PAYMENTS)
    exercise.check('the workload token gets nothing any more', again.status === 400)
    const onward = await exercise.exchange(leaked.parent, RECEIPTS)
    exercise.check('what it got cannot be exchanged onward', onward.status === 400)
    exercise.cloud.functions.kill('IntrospectFunction')
    const restarted = await activeIn(exercise, [leaked])
    exercise.check(
      'that survives the end of every environment',
      restarted.every((one) => !one),
    )
    const spared = await activeIn(exercise, others)
    exercise.check('every other token is still active', spared.every(Boolean))
    await exercise.endPhase('revoked', 30)
  },
}

interface Family {
  readonly subject: string
  readonly parent: string
  readonly child: string
}

async function family(exercise: Exercise, at: number): Promise<Family> {
  const subject = await exercise.sign({ preset: 'kubernetes', claims: { jti: `game-day-${at}` } })
  const parent = tokenIn(await exercise.exchange(subject, PAYMENTS))
  const child = tokenIn(await exercise.exchange(parent, RECEIPTS))
  return { subject, parent, child }
}

async function activeIn(exercise: Exercise, families: readonly Family[]): Promise<readonly boolean[]> {
  const found: boolean[] = []
  for (const { parent, child } of families)
    found.push(await exercise.isActive(parent), await exercise.isActive(child))
  return found
}
