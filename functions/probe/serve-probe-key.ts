import { LIMITS } from '../core/limits.ts'
import { PROBE_KEYS_PATH } from '../core/policy/probe.ts'
import type { ProbeKey } from '../core/ports.ts'
import { cacheableAnswer, jsonAnswer } from '../http/answer.ts'
import { type Serve, servedRefusal } from '../http/rim.ts'

/** `GET /probe/jwks.json`: the public half of the key that signs the probe's own tokens. */
export function serveProbeKey(key: Pick<ProbeKey, 'kid' | 'publicJwk'>): Serve {
  return async (request) => {
    if (request.path !== PROBE_KEYS_PATH)
      return { outcome: 'refused', answer: jsonAnswer(404, { error: 'not_found' }) }
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return servedRefusal({ kind: 'method_not_allowed', allow: 'GET, HEAD' })
    const jwk = { ...(await key.publicJwk()), kid: key.kid, alg: 'ES256', use: 'sig' }
    return {
      outcome: 'succeeded',
      answer: cacheableAnswer(request, { keys: [jwk] }, LIMITS.jwksMaxAgeSeconds),
    }
  }
}
