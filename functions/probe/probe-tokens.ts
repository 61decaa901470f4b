import { compactJws } from '../core/access-token.ts'
import { PROBE, PROBE_SUBJECT, probeUrls } from '../core/policy/probe.ts'
import type { ProbeKey } from '../core/ports.ts'
import type { JsonObject } from '../core/types.ts'

const LIFETIME_SECONDS = 60

export interface ProbeIdentity {
  /** The broker's issuer URL. */
  readonly issuer: string
  readonly key: Pick<ProbeKey, 'kid' | 'sign'>
  /** Epoch seconds. */
  readonly now: () => number
  readonly randomId: () => string
}

/** A subject token of the probe's issuer that the broker has to accept once, with claims changed. */
export function subjectToken(identity: ProbeIdentity, changes: JsonObject = {}): Promise<string> {
  const { issuer } = probeUrls(identity.issuer)
  return signed(identity, { iss: issuer, sub: PROBE_SUBJECT, ...changes })
}

/** The same token with one bit of its signature changed: still well-formed, and signed by nobody. */
export function forged(token: string): string {
  const end = token.lastIndexOf('.')
  const signature = Buffer.from(token.slice(end + 1), 'base64url')
  signature.writeUInt8(signature.readUInt8(0) ^ 1, 0)
  return compactJws(token.slice(0, end), signature)
}

/** An assertion by which the probe's client authenticates itself once (RFC 7523 §3). */
export function clientAssertion(identity: ProbeIdentity): Promise<string> {
  return signed(identity, { iss: PROBE, sub: PROBE })
}

async function signed({ issuer, key, now, randomId }: ProbeIdentity, claims: JsonObject): Promise<string> {
  const iat = now()
  const all = { aud: issuer, iat, nbf: iat, exp: iat + LIFETIME_SECONDS, jti: randomId(), ...claims }
  const header = { alg: 'ES256', typ: 'JWT', kid: key.kid }
  const signingInput = [header, all]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.')
  return compactJws(signingInput, await key.sign(signingInput))
}
