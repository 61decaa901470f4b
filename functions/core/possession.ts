import { type ClientCertificate, isCurrent } from './client-certificate.ts'
import type { Confirmation } from './confirmation.ts'
import { type ProofFailure, type ProvenRequest, type VerifiedProof, verifyProof } from './dpop-proof.ts'
import { LIMITS } from './limits.ts'
import type { TokenTarget } from './policy/compiled.ts'
import type { DpopNonces, SpentCredential } from './ports.ts'
import { type Refused, refuse } from './refusal.ts'
import { digestOf } from './token-id.ts'

/** What a request brings beside its tokens to prove whose they are. */
export interface PresentedKeys {
  /** Every value of the header `DPoP`. */
  readonly dpop: readonly string[]
  /** By which the client holds the connection, as API Gateway says it. */
  readonly certificate?: PresentedCertificate
}

/** A certificate, or that there was one that nobody can read. */
export type PresentedCertificate = ClientCertificate | 'unreadable' | undefined

/** What proving possession needs of the world. */
export interface PossessionWorld {
  /** The broker's own issuer URL: its endpoints are below it. */
  readonly issuer: string
  /** The other URL below which they are, where clients need a certificate. */
  readonly mtlsUrl?: string | undefined
  /** Only where a target asks for them. */
  readonly nonces?: DpopNonces | undefined
  /** 128 random bits, base64url. */
  readonly randomId: () => string
}

/** What is asked of the keys. `now` in epoch seconds. */
export interface PossessionQuestion {
  readonly method: string
  /** Of the endpoint, from its slash on. */
  readonly path: string
  /** The token that a proof may name. */
  readonly token: string
  /** What the presented tokens are bound to. */
  readonly bindings: readonly Confirmation[]
  /** What the target asks of its tokens; nothing of what is no token. */
  readonly target?: Pick<TokenTarget, 'binding' | 'dpopNonce'>
  readonly now: number
}

/** What the request has proved. */
export interface Possession {
  /** What a token that is issued for it is bound to: never less than the tokens that were presented. */
  readonly confirmation: Confirmation
  /** The one use of each proof, to be claimed before anything is released. */
  readonly spent: readonly SpentCredential[]
  /** For the client's next proof, where the target wants one in it. */
  readonly nextNonce: string | undefined
}

/** Why a bound token was presented by somebody to whom it may not belong. */
export type BindingFailure =
  | 'binding_not_known'
  | 'proof_missing'
  | 'proof_by_another_key'
  | 'certificate_missing'
  | 'certificate_unreadable'
  | 'certificate_not_current'
  | 'another_certificate'

/**
 * Checks that whoever presents tokens has the keys that they are bound to, and those that the target asks for (RFC 9449 §5,
 * RFC 8705 §3). A proof that nobody has asked for binds as well: it is verified like any other, and never ignored.
 * Returns a refusal; throws {@link DependencyUnavailable} if the nonces in force cannot be known.
 */
export async function provePossession(
  presented: PresentedKeys,
  asked: PossessionQuestion,
  world: PossessionWorld,
): Promise<Possession | Refused> {
  const { target, now } = asked
  const isProofNeeded = presented.dpop.length > 0 || target?.binding === 'dpop'
  const proof = isProofNeeded
    ? await verifyProof(presented.dpop, provenRequest(asked, world), now)
    : undefined
  if (typeof proof === 'string') return refuseProof(proof)
  const certificate = usableCertificate(presented.certificate, now)
  if (target?.binding === 'mtls' && typeof certificate === 'string')
    return refuse({ kind: 'certificate_not_acceptable', because: certificate })
  const nonces = target?.dpopNonce ? await noncesOf(world).at(now) : undefined
  if (nonces !== undefined && !nonces.some((nonce) => nonce === proof?.nonce))
    return refuse({ kind: 'dpop_nonce_needed', nonce: nonces[0] })
  for (const binding of asked.bindings) {
    const because = failureOf(binding, proof, certificate)
    if (because !== undefined) return refuse({ kind: 'token_bound_to_key', because })
  }
  const keepsCertificate = target?.binding === 'mtls' || asked.bindings.some((bound) => 'x5t#S256' in bound)
  return {
    confirmation: {
      ...(proof !== undefined && { jkt: proof.jkt }),
      ...(keepsCertificate && typeof certificate !== 'string' && { 'x5t#S256': certificate.thumbprint }),
    },
    spent: proof === undefined ? [] : [spentOf(proof, now, world.randomId())],
    nextNonce: nonces?.[0],
  }
}

function provenRequest(
  { method, path, token }: PossessionQuestion,
  { issuer, mtlsUrl }: PossessionWorld,
): ProvenRequest {
  const bases = mtlsUrl === undefined ? [issuer] : [issuer, mtlsUrl]
  return { method, token, urls: bases.map((base) => base + path) }
}

function refuseProof(because: ProofFailure): Refused {
  return refuse({ kind: 'dpop_proof_not_acceptable', because })
}

/** Why there is no certificate to go by. */
export type CertificateFailure = Extract<BindingFailure, `certificate_${string}`>

/** The certificate, if it can be read and is valid today. */
export function usableCertificate(
  certificate: PresentedCertificate,
  now: number,
): ClientCertificate | CertificateFailure {
  if (certificate === undefined) return 'certificate_missing'
  if (certificate === 'unreadable') return 'certificate_unreadable'
  return isCurrent(certificate, now) ? certificate : 'certificate_not_current'
}

/** Every key that the token names must be there: one does not stand in for the other. */
function failureOf(
  { jkt, 'x5t#S256': thumbprint }: Confirmation,
  proof: VerifiedProof | undefined,
  certificate: ClientCertificate | CertificateFailure,
): BindingFailure | undefined {
  if (jkt !== undefined && proof === undefined) return 'proof_missing'
  if (jkt !== undefined && proof?.jkt !== jkt) return 'proof_by_another_key'
  if (thumbprint === undefined) return undefined
  if (typeof certificate === 'string') return certificate
  return certificate.thumbprint === thumbprint ? undefined : 'another_certificate'
}

/** A policy that asks for nonces is deployed with what makes them. Without it nothing may pass. */
function noncesOf({ nonces }: PossessionWorld): DpopNonces {
  if (nonces === undefined) throw new Error('a target asks for nonces, and there is nothing that makes them')
  return nonces
}

/** Nobody accepts a proof for longer, whatever their clock says within the skew. */
const KEPT_SECONDS = LIMITS.proofAgeSeconds + 3 * LIMITS.clockSkewSeconds

/** The id is over the key and the `jti`: what others put into their proofs spends nothing of this one's. */
function spentOf({ jkt, jti, issuedAt }: VerifiedProof, now: number, attempt: string): SpentCredential {
  const id = digestOf(JSON.stringify([jkt, jti]))
  return { kind: 'dpop', id, attempt, spentAt: now, expiresAt: issuedAt + KEPT_SECONDS }
}
