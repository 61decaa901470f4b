import { DependencyUnavailable } from '../core/fault.ts'
import type { KeyManifest } from '../core/key-lifecycle.ts'
import { LIMITS } from '../core/limits.ts'
import { authorizationServerMetadata, openidConfiguration } from '../core/metadata.ts'
import { jwkSetOf, publishedKeys } from '../core/published-keys.ts'
import { cacheableAnswer, type HttpAnswer, jsonAnswer } from '../http/answer.ts'
import type { HttpRequest } from '../http/event.ts'
import { type Serve, servedRefusal } from '../http/rim.ts'

export interface Documents {
  readonly issuer: string
  /** Base of the endpoints at which clients show certificates, if there is one. */
  readonly mtlsUrl?: string | undefined
  readonly manifests: () => Promise<RingManifests>
}

/** The manifests of all rings. */
export interface RingManifests {
  readonly inKms: readonly (KeyManifest | undefined)[]
  readonly delegated: KeyManifest | undefined
}

/** `GET` of the public documents: JWK Set, both kinds of metadata, liveness. */
export function serveDocuments({ issuer, mtlsUrl, manifests }: Documents): Serve {
  const documents: Readonly<Record<string, (request: HttpRequest) => HttpAnswer | Promise<HttpAnswer>>> = {
    '/.well-known/jwks.json': async (request) =>
      cacheableAnswer(request, jwkSet(await manifests()), LIMITS.jwksMaxAgeSeconds),
    '/.well-known/oauth-authorization-server': (request) =>
      cacheableAnswer(request, authorizationServerMetadata(issuer, mtlsUrl), LIMITS.jwksMaxAgeSeconds),
    '/.well-known/openid-configuration': (request) =>
      cacheableAnswer(request, openidConfiguration(issuer, mtlsUrl), LIMITS.jwksMaxAgeSeconds),
    '/health': () => jsonAnswer(200, { status: 'ok' }),
  }
  return async (request) => {
    const document = Object.hasOwn(documents, request.path) ? documents[request.path] : undefined
    if (document === undefined) return { outcome: 'refused', answer: jsonAnswer(404, { error: 'not_found' }) }
    if (request.method === 'GET' || request.method === 'HEAD')
      return { outcome: 'succeeded', answer: await document(request) }
    return servedRefusal({ kind: 'method_not_allowed', allow: 'GET, HEAD' })
  }
}

function jwkSet({ inKms, delegated }: RingManifests) {
  // A set that lacks a ring, in a verifier's cache, would outlast the moment at which that ring's first key signs. A ring
  // whose keys are all revoked is left out: without an answer, caches would go on with the keys that they have.
  const isIncomplete = inKms.some((manifest) => (manifest?.keys ?? []).length === 0)
  if (isIncomplete || delegated?.pending?.signsAtOnce === true)
    throw new DependencyUnavailable('kms', 'not every ring has a key yet')
  return jwkSetOf(publishedKeys([...inKms, delegated]))
}
