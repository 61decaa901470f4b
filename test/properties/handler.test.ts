import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { freezeTime, leakedRun } from '../attacks/attack.ts'
import { AttackedBroker } from '../attacks/broker.ts'
import { canary } from '../attacks/crafted-jws.ts'
import { DELEGATION } from '../attacks/delegation-policy.ts'
import { anyEvent, requestWith } from '../fuzz/events.ts'
import { printedBy } from '../support/printed.ts'
import { holds } from './world.ts'

/** All that the token endpoint can answer while everything it depends on is there. */
const ERRORS: ReadonlySet<string> = new Set([
  '400 invalid_request the request is malformed',
  '400 invalid_request parameters belong in the body, not in the query',
  '400 invalid_request a parameter is repeated',
  '400 invalid_request a required parameter is missing',
  '400 unsupported_grant_type the only grant type is urn:ietf:params:oauth:grant-type:token-exchange',
  '400 invalid_request the subject_token_type is not supported',
  '400 invalid_request the requested_token_type is not supported',
  '400 invalid_request actor_token and actor_token_type go together',
  '400 invalid_request the actor_token_type is not supported',
  '400 invalid_request more than one method of client authentication is used',
  '400 unauthorized_client the client may not exchange such tokens for this target',
  '400 invalid_dpop_proof the DPoP proof is not acceptable',
  '400 invalid_scope the scope is malformed or wider than allowed',
  '400 invalid_target audience and resource must name exactly one known target',
  '400 invalid_request the subject or actor token is not acceptable',
  '400 invalid_request more than one method of client authentication is used',
  '401 invalid_client client authentication failed',
  '405 invalid_request the method is not allowed here',
  '413 invalid_request the request is too large',
  '415 invalid_request the body must be application/x-www-form-urlencoded, not compressed',
])

/** A secret of its own for each case, put wherever somebody could put one. */
const request = fc
  .noShrink(fc.constant(0))
  .map(() => canary())
  .chain((secret) => requestWith(secret).map((event) => ({ secret, event })))

describe('of every request', () => {
  freezeTime()

  it('I15 I16 the answer is one of few, and no part of a secret is in it, in a log, a metric or a record', async () => {
    const seen = new Set<string>()
    await holds(
      fc.asyncProperty(request, async ({ secret, event }) => {
        const broker = new AttackedBroker({ policy: DELEGATION })
        const { result, printed } = await printedBy(() => broker.handler(event, {}))
        const { access_token: released, ...answer } = JSON.parse(result.body) as Record<string, string>
        if (released === undefined) {
          const error = `${result.statusCode} ${answer['error']} ${answer['error_description']}`
          seen.add(error)
          expect(ERRORS).toContain(error)
        }
        const records = JSON.stringify([...broker.ledger.records.values()])
        const text = [printed, records, JSON.stringify(answer), JSON.stringify(result.headers)].join('\n')
        expect(leakedRun(text, [secret, ...tokensIn(event), released ?? ''])).toBeUndefined()
      }),
    )
    expect(seen.size).toBeGreaterThan(10)
  })

  it('I17 any event whatever has an answer, and nothing fails', async () => {
    await holds(
      fc.asyncProperty(anyEvent, async (event) => {
        const broker = new AttackedBroker({ policy: DELEGATION })
        const { result, printed } = await printedBy(() => broker.handler(event, {}))
        expect([200, 400, 401, 405, 413, 415]).toContain(result.statusCode)
        expect(printed).not.toContain('"failed"')
        expect(result.body.length + printed.length).toBeLessThan(10_000)
      }),
    )
  })
})

/** Tokens in the form of an event, whether or not it is in base64. */
function tokensIn({ body, isBase64Encoded }: Record<string, unknown>): readonly string[] {
  const text = isBase64Encoded === true ? Buffer.from(String(body), 'base64').toString() : String(body)
  const form = new URLSearchParams(text)
  return ['subject_token', 'actor_token'].flatMap((name) => form.getAll(name))
}
