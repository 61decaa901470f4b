import { LEDGER, PAYMENTS } from '../support/cloud.ts'
import { type Exercise, type GameDay, tokenIn } from './exercise.ts'

const EXCHANGES = 16
const LEDGER_JOBS = 2

export const issuerOutage: GameDay = {
  name: 'issuer-outage',
  about:
    'issuers do not give out their keys: the last good ones serve, and without any the answer is 503, never a guess',
  runbook: 'docs/runbooks/issuer-keys-stale.md',
  commands: ['. docs/runbooks/on-call.sh prod', 'faults Exchange 15m', 'metric IssuerKeyFailures Sum 15'],
  async play(exercise) {
    exercise.say('workloads of a cluster get tokens')
    exercise.check(
      'they do',
      (await workers(exercise)).every((status) => status === 200),
    )
    await exercise.endPhase('before', 90)

    exercise.say('every issuer answers 503 for its keys')
    exercise.cloud.demoIssuer.fail(true)
    exercise.check(
      'the last good keys serve',
      (await workers(exercise)).every((status) => status === 200),
    )
    const job = await exercise.sign({ preset: 'gitlab' })
    const answers = await Promise.all(
      Array.from({ length: LEDGER_JOBS }, () => exercise.exchange(job, LEDGER)),
    )
    exercise.check(
      'an issuer whose keys were never read: 503',
      answers.every(({ status }) => status === 503),
    )
    exercise.check(
      'with Retry-After',
      answers.every(({ headers }) => Number(headers.get('retry-after')) > 0),
    )
    exercise.check(
      'and no token',
      answers.every(({ body }) => body['access_token'] === undefined),
    )
    await exercise.endPhase('outage', 30)

    exercise.say('a new environment has no keys at all')
    exercise.cloud.functions.kill('ExchangeFunction')
    exercise.check(
      '503, and neither a token nor a refusal',
      (await workers(exercise)).every((status) => status === 503),
    )
    await exercise.endPhase('new environments', 10)

    exercise.say('the issuers answer again')
    exercise.cloud.demoIssuer.fail(false)
    exercise.cloud.functions.kill('ExchangeFunction')
    exercise.check(
      'everybody gets tokens',
      (await workers(exercise)).every((status) => status === 200),
    )
    const again = await exercise.exchange(job, LEDGER)
    exercise.check('also with the very token that got 503: nothing was spent', tokenIn(again) !== '')
    await exercise.endPhase('after', 90)
  },
}

/** One after the other: a busy machine that has to answer all at once answers some of them 503. */
async function workers(exercise: Exercise): Promise<readonly number[]> {
  const statuses: number[] = []
  while (statuses.length < EXCHANGES) {
    const { status } = await exercise.exchange(await exercise.sign({ preset: 'kubernetes' }), PAYMENTS)
    statuses.push(status)
  }
  return statuses
}
