import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose'
import { PAYMENTS } from '../support/cloud.ts'
import { type Exercise, type GameDay, tokenIn } from './exercise.ts'

/** Longer than an environment may sign with a key that has been replaced. */
const PATIENCE_MILLISECONDS = 90_000
const PUBLISHING_RUNS = 4
/** After so many exchanges somebody rotates. */
const ROTATE_AT = 20
const ENOUGH_AFTER = 10

/** `recycle` ends the environments after the rotation, which then need not find out by themselves within a minute. */
export const keyRotation = ({ recycle = false } = {}): GameDay => ({
  name: 'key-rotation',
  about: 'the next signing key takes over under load, and no verifier refuses a token',
  runbook: 'docs/runbooks/signing-keys.md',
  commands: [
    'npx token-broker keys list --stage prod',
    'npx token-broker keys rotate --now --ring RS256 --stage prod',
    'npx token-broker keys list --stage prod',
  ],
  async play(exercise) {
    await publishNextKey(exercise)
    const cached = await keySetOf(exercise)
    exercise.say('a verifier reads the key set, once for all of this')
    const seen = new Map<string, number>()
    let refused = 0
    const one = async () => {
      const subject = await exercise.sign({ preset: 'kubernetes' })
      const token = tokenIn(await exercise.exchange(subject, PAYMENTS))
      const { kid = '' } = decodeProtectedHeader(token)
      seen.set(kid, (seen.get(kid) ?? 0) + 1)
      if (!(await verifies(token, cached, exercise))) refused += 1
      return token
    }
    const old = await one()
    for (let at = 1; at < ROTATE_AT; at += 1) await one()
    await exercise.endPhase('before', 90)

    const { code } = await exercise.operate(
      'keys',
      'rotate',
      '--now',
      '--before-caches-expire',
      '--ring',
      'RS256',
      '--yes',
    )
    exercise.check('the command succeeds', code === 0)
    if (recycle) exercise.cloud.functions.kill('ExchangeFunction')
    exercise.say('exchanging on, until the next key signs')
    const deadline = Date.now() + PATIENCE_MILLISECONDS
    const isOver = () => seen.size > 1 && Math.min(...seen.values()) >= ENOUGH_AFTER
    while (!isOver() && Date.now() < deadline) await one()
    exercise.check('two keys have signed', seen.size === 2)
    exercise.check(
      `not one of ${[...seen.values()].reduce((a, b) => a + b, 0)} tokens was refused by the verifier with the old key set`,
      refused === 0,
    )
    exercise.check(
      'tokens of the old key still verify with the new key set',
      await verifies(old, await keySetOf(exercise), exercise),
    )
    await exercise.endPhase('rotated', 30)
  },
})

/** The rotation makes and publishes the next key in its next runs. */
async function publishNextKey(exercise: Exercise): Promise<void> {
  exercise.say('the rotation makes the next key, and publishes it')
  for (let run = 0; run < PUBLISHING_RUNS; run += 1) await exercise.cloud.invoke('RotateKeysFunction', {})
  // Environments that publish look again after five seconds; a new one does at once.
  exercise.cloud.functions.kill('JwksFunction')
}

async function keySetOf({ cloud }: Exercise): Promise<JSONWebKeySet> {
  return (await (await fetch(`${cloud.url}/.well-known/jwks.json`)).json()) as JSONWebKeySet
}

async function verifies(token: string, keys: JSONWebKeySet, { cloud }: Exercise): Promise<boolean> {
  const options = { issuer: cloud.url, audience: PAYMENTS, typ: 'at+jwt' }
  return jwtVerify(token, createLocalJWKSet(keys), options).then(
    () => true,
    () => false,
  )
}
