import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import type { TrustedIssuer } from '../../functions/core/policy/compiled.ts'
import type { LocalIssuers } from '../../functions/settings.ts'
import type { JsonObject, JsonValue } from './assembly.ts'
import { DEMO_PRESETS, type DemoPreset, PLAIN_CLAIMS, PLAIN_LIFETIME_SECONDS } from './demo-claims.ts'
import { DEMO_ISSUER_PATH } from './demo-exchange.ts'
import { readBody } from './http-api.ts'
import { isFromAnotherSite, NO_OTHER_SITES } from './other-sites.ts'

export interface DemoIssuerOptions {
  /** Where the demo issuer answers, for example `http://127.0.0.1:8080/demo-issuer`. */
  readonly url: string
  /** The issuers that the policy trusts. */
  readonly issuers: readonly TrustedIssuer[]
  /** Epoch milliseconds. */
  readonly clock: () => number
}

/** What to sign: as a preset, or as an issuer of the policy. */
export interface SignRequest {
  /** A name of {@link DEMO_PRESETS}. */
  readonly preset?: string
  /** Id of an issuer in the policy; wins over the preset's. */
  readonly issuer?: string
  /** Override the default claims; `null` removes one. */
  readonly claims?: JsonObject
}

/** The request cannot be signed; the message says what can. */
export class SignRefused extends Error {
  override readonly name = 'SignRefused'
}

interface SigningKey {
  readonly kid: string
  readonly privateKey: CryptoKey
  readonly jwk: JWK
}

const MAX_REQUEST_BYTES = 64 * 1024

/**
 * Signs look-alikes of CI and workload tokens under the real issuers' names, and publishes discovery documents and keys
 * for them on loopback. Whoever reads the real issuer's keys refuses these tokens; only functions that are told of the
 * stand-ins by {@link DemoIssuer.localIssuers} accept them.
 */
export class DemoIssuer {
  readonly #options: DemoIssuerOptions
  /** By algorithm: the key that signs, then the one that will. Both are published. */
  readonly #keys: Map<string, readonly SigningKey[]>
  /** What a rotation took out of use; still published, as tokens that it signed may be under way. */
  #retired: readonly SigningKey[] = []
  #failing = false

  private constructor(options: DemoIssuerOptions, keys: Map<string, readonly SigningKey[]>) {
    this.#options = options
    this.#keys = keys
  }

  /** Makes two keys for each algorithm that the policy's issuers need. */
  static async create(options: DemoIssuerOptions): Promise<DemoIssuer> {
    const algorithms = new Set(['RS256', ...options.issuers.flatMap(algorithmsNeeded)])
    const keys = await Promise.all(
      [...algorithms].map(async (algorithm) => {
        const pair = await Promise.all([makeKey(algorithm), makeKey(algorithm)])
        return [algorithm, pair] as const
      }),
    )
    return new DemoIssuer(options, new Map(keys))
  }

  /** Which loopback URL stands in for which issuer: every one that publishes keys and is not itself on loopback. */
  localIssuers(): LocalIssuers {
    const replaceable = this.#options.issuers.filter(isReplaceable)
    return Object.fromEntries(replaceable.map(({ id, issuer }) => [issuer, this.#urlOf(id)]))
  }

  /** A fresh token. Throws {@link SignRefused}. */
  async sign(request: SignRequest, wantedAlgorithm?: string): Promise<string> {
    const trusted = this.#trustedFor(request)
    const algorithm = wantedAlgorithm ?? (trusted === undefined ? 'RS256' : algorithmOf(trusted))
    const [key] = this.#keys.get(algorithm) ?? []
    if (key === undefined) throw new SignRefused(`the demo issuer has no ${algorithm} key`)
    return new SignJWT(this.claims(request))
      .setProtectedHeader({ alg: algorithm, kid: key.kid, typ: 'JWT' })
      .sign(key.privateKey)
  }

  /** The claims that {@link DemoIssuer.sign} would sign. Throws {@link SignRefused}. */
  claims(request: SignRequest): JsonObject {
    const trusted = this.#trustedFor(request)
    const kind = presetFor(request.preset) ?? presetOfIssuer(trusted?.issuer ?? '')
    const now = Math.floor(this.#options.clock() / 1000)
    const lifetime = Math.min(
      kind?.lifetimeSeconds ?? PLAIN_LIFETIME_SECONDS,
      trusted?.maxLifetimeSeconds ?? Number.POSITIVE_INFINITY,
    )
    const defaults: JsonObject = {
      iss: trusted?.issuer ?? kind?.issuer ?? '',
      ...(kind?.claims(now) ?? PLAIN_CLAIMS()),
      aud: trusted?.audiences[0] ?? new URL(this.#options.url).origin,
      iat: now,
      exp: now + lifetime,
    }
    const claims = Object.entries({ ...defaults, ...request.claims })
    return Object.fromEntries(claims.filter(([, value]) => value !== null))
  }

  /** Whether discovery documents and keys are answered with 503. */
  fail(failing: boolean): void {
    this.#failing = failing
  }

  /** The announced keys sign from now on, new ones are announced, and what was announced before that is gone. */
  async rotate(): Promise<void> {
    this.#retired = [...this.#keys.values()].flatMap(([signing]) => (signing === undefined ? [] : [signing]))
    for (const [algorithm, [, next]] of this.#keys) {
      const fresh = await makeKey(algorithm)
      this.#keys.set(algorithm, next === undefined ? [fresh] : [next, fresh])
    }
  }

  /** Answers `POST sign`, and each issuer's discovery document and keys. */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [name = '', ...rest] =
      (request.url ?? '').slice(DEMO_ISSUER_PATH.length).split('?', 1)[0]?.split('/') ?? []
    if (name === 'sign' && rest.length === 0) return this.#answerSign(request, response)
    if (this.#failing) return sendJson(response, 503, { error: 'the demo issuer is told to fail' })
    const id = decoded(name)
    if (id === undefined)
      return sendJson(response, 400, { error: 'the percent-encoding of the path is malformed' })
    const issuer =
      this.#options.issuers.find((trusted) => trusted.id === id)?.issuer ?? DEMO_PRESETS[id]?.issuer
    if (issuer === undefined) return sendJson(response, 404, { error: `no issuer ${id}` })
    switch (rest.join('/')) {
      case '.well-known/openid-configuration':
        return sendJson(response, 200, this.#discovery(id, issuer))
      case 'jwks.json':
        return sendJson(response, 200, { keys: this.#published() })
    }
    return sendJson(response, 404, { error: 'not found' })
  }

  async #answerSign(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'POST')
      return sendJson(response, 405, { error: 'POST {"preset": …, "claims": …}' })
    if (isFromAnotherSite(request)) return sendJson(response, 403, { error: NO_OTHER_SITES })
    const body = await readBody(request, MAX_REQUEST_BYTES)
    try {
      const token = await this.sign(readSignRequest(body?.toString() ?? ''))
      // For shells: the bare token.
      if (request.headers.accept === 'text/plain') return void response.end(token)
      return sendJson(response, 200, { token })
    } catch (error) {
      if (!(error instanceof SignRefused)) throw error
      return sendJson(response, 400, { error: error.message })
    }
  }

  /** RFC 8414 §3.3 wants the issuer's own URL here, which is why a reader that compares it is not irritated. */
  #discovery(id: string, issuer: string): JsonObject {
    return {
      issuer,
      jwks_uri: `${this.#urlOf(id)}/jwks.json`,
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: [...this.#keys.keys()],
    }
  }

  #published(): readonly JsonValue[] {
    // A JWK is JSON, though its type does not say so.
    return [...[...this.#keys.values()].flat(), ...this.#retired].map(({ jwk }) => jwk as JsonValue)
  }

  #urlOf(id: string): string {
    return `${this.#options.url}/${encodeURIComponent(id)}`
  }

  #trustedFor({ issuer: id, preset: presetName }: SignRequest): TrustedIssuer | undefined {
    const { issuers } = this.#options
    const preset = presetFor(presetName)
    if (id === undefined) {
      const trusted = issuers.find(({ issuer }) => preset?.matches.test(issuer))
      return trusted !== undefined && isReplaceable(trusted) ? trusted : undefined
    }
    const trusted = issuers.find((candidate) => candidate.id === id)
    if (trusted === undefined)
      throw new SignRefused(`the policy has no issuer ${id}; it has ${idsOf(issuers)}`)
    if (!isReplaceable(trusted)) {
      throw new SignRefused(
        `the keys of issuer ${id} are its own; the demo issuer can sign as ${idsOf(issuers.filter(isReplaceable))}`,
      )
    }
    return trusted
  }
}

function presetFor(name: string | undefined): DemoPreset | undefined {
  if (name === undefined) return undefined
  const preset = Object.hasOwn(DEMO_PRESETS, name) ? DEMO_PRESETS[name] : undefined
  if (preset === undefined) {
    throw new SignRefused(`no preset ${name}; there are ${Object.keys(DEMO_PRESETS).join(', ')}`)
  }
  return preset
}

function presetOfIssuer(issuer: string): DemoPreset | undefined {
  return Object.values(DEMO_PRESETS).find(({ matches }) => matches.test(issuer))
}

/** Whether the demo issuer can stand in: inline keys cannot be replaced, and a loopback issuer is somebody's own. */
export function isReplaceable({ id, issuer, keys }: TrustedIssuer): boolean {
  return (
    id !== 'broker' &&
    keys.kind !== 'inline' &&
    !/^http:\/\/(localhost|127(\.\d+){3}|\[::1\])([:/]|$)/.test(issuer)
  )
}

function algorithmOf({ algorithms }: TrustedIssuer): string {
  return algorithms.includes('RS256') ? 'RS256' : (algorithms[0] ?? 'RS256')
}

/** AWS lets the caller choose; the others sign in one way. */
function algorithmsNeeded(issuer: TrustedIssuer): readonly string[] {
  return issuer.preset === 'aws-outbound' ? issuer.algorithms : [algorithmOf(issuer)]
}

function decoded(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment)
  } catch {
    return undefined
  }
}

function idsOf(issuers: readonly TrustedIssuer[]): string {
  return issuers.map(({ id }) => id).join(', ') || 'none'
}

function readSignRequest(body: string): SignRequest {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    throw new SignRefused('the body is not JSON')
  }
  const { preset, issuer, claims } = (typeof value === 'object' ? (value ?? {}) : {}) as Readonly<
    Record<string, unknown>
  >
  if (typeof preset !== 'string' && typeof issuer !== 'string') {
    throw new SignRefused(
      `name a preset (${Object.keys(DEMO_PRESETS).join(', ')}) or an issuer of the policy`,
    )
  }
  if (claims !== undefined && (typeof claims !== 'object' || claims === null || Array.isArray(claims))) {
    throw new SignRefused('claims is not an object')
  }
  return {
    ...(typeof preset === 'string' && { preset }),
    ...(typeof issuer === 'string' && { issuer }),
    claims: (claims ?? {}) as JsonObject,
  }
}

async function makeKey(algorithm: string): Promise<SigningKey> {
  const kid = randomUUID()
  const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true })
  return { kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: algorithm, use: 'sig' } }
}

function sendJson(response: ServerResponse, status: number, body: JsonObject): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}
