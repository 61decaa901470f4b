import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Exercise, type GameDay } from '../gameday/exercise.ts'
import { issuerOutage } from '../gameday/issuer-outage.ts'
import { keyRotation } from '../gameday/key-rotation.ts'
import { onCallOf } from '../gameday/on-call.ts'
import { revocation } from '../gameday/revocation.ts'

let exercise: Exercise
beforeAll(async () => {
  exercise = await Exercise.start(() => {})
})
afterAll(() => exercise.close())

/** What the game day found, and what somebody on call would have seen. */
async function play(gameDay: GameDay) {
  exercise.checks.length = 0
  exercise.phases.length = 0
  await gameDay.play(exercise)
  expect(exercise.defects).toEqual([])
  const { report } = onCallOf(exercise, gameDay)
  const called = report.messages
    .filter(({ state }) => state === 'ALARM')
    .map(({ to, alarm }) => `${to} ${alarm}`)
  return { broken: exercise.checks.filter(({ holds }) => !holds), called, report }
}

describe('a game day', () => {
  it('issuer outage: the last good keys serve, and without any it is 503; one page, and a cause beside it', async () => {
    const { broken, called, report } = await play(issuerOutage)
    expect(broken).toEqual([])
    expect(called).toEqual(['page availability-burn-fast'])
    expect(report.rang.map(({ alarm }) => alarm)).toContain('issuer-keys-stale')
  })

  it('revocation: everything below ends at once, and nothing else; nobody is called', async () => {
    const { broken, called } = await play(revocation)
    expect(broken).toEqual([])
    expect(called).toEqual([])
  })

  it('key rotation: under load no verifier refuses a token; nobody is called', async () => {
    const { broken, called } = await play(keyRotation({ recycle: true }))
    expect(broken).toEqual([])
    expect(called).toEqual([])
  })
})
