import { isCertificateOf, readListed } from '../client-certificate.ts'
import { fitsAlgorithm, readJwks, SECRET_MEMBERS } from '../issuer-jwks.ts'
import { LIMITS } from '../limits.ts'
import type { PublicJwk } from '../types.ts'
import type { EntryReport } from './checks.ts'
import { foundInsteadOf, type PolicyPath } from './finding.ts'
import type { JwkSource } from './schema.ts'

/** The members that each type of public key needs. The types that are not here are symmetric or unknown. */
const REQUIRED_MEMBERS = new Map<string, readonly string[]>([
  ['RSA', ['n', 'e']],
  ['EC', ['crv', 'x', 'y']],
  ['OKP', ['crv', 'x']],
])
const TEXT_MEMBERS = ['alg', 'use', 'crv', 'x', 'y', 'n', 'e'] as const

/** Where keys stand in the policy, and what they are for. */
export interface KeyPlace {
  readonly path: PolicyPath
  readonly algorithms: readonly string[]
  /** Whose keys they are, for findings. */
  readonly owner: 'issuer' | 'client'
  /** Whether they stand for certificates: then `x5c` counts, where it is there. */
  readonly ofCertificates?: boolean
}

/**
 * The keys of an inline JWKS. Reports any that is not public, asymmetric and named by a `kid`, and any that would be left
 * out when a token is verified.
 */
export function readPublicKeys(
  keys: readonly JwkSource[],
  { path, algorithms, owner, ofCertificates = false }: KeyPlace,
  report: EntryReport,
): readonly PublicJwk[] {
  if (keys.length > LIMITS.jwksKeys)
    report(path, `found ${keys.length} keys; allowed: at most ${LIMITS.jwksKeys}`)
  keys.forEach((key, at) => {
    if (checkMembers(key, [...path, at], report)) {
      checkUse(key, [...path, at], report)
      if (ofCertificates) checkCertificate(key, [...path, at], report)
    }
    const first = keys.findIndex(({ kid }) => kid === key['kid'])
    if (key['kid'] !== undefined && first < at)
      report([...path, at, 'kid'], foundInsteadOf(key['kid'], `a kid that no other key of the ${owner} has`))
  })
  const fitsAny = (key: JwkSource) =>
    algorithms.some((algorithm) => fitsAlgorithm(publicPart(key), algorithm))
  if (!keys.some(fitsAny))
    report(path, `found no key for the ${owner}'s algorithms; allowed: keys for ${algorithms.join(', ')}`)
  return keys.map(ofCertificates ? certifiedPart : publicPart)
}

/** Whether the key has what a public key has, and nothing that only its owner may know; reports what is wrong. */
function checkMembers(key: JwkSource, path: PolicyPath, report: EntryReport): boolean {
  const required = REQUIRED_MEMBERS.get(key.kty)
  if (required === undefined)
    report([...path, 'kty'], foundInsteadOf(key.kty, [...REQUIRED_MEMBERS.keys()].join(', ')))
  const secret = SECRET_MEMBERS.filter((name) => Object.hasOwn(key, name))
  for (const member of secret)
    report(
      [...path, member],
      `found the secret member ${member}; allowed: public keys only. Treat this key as leaked`,
    )
  const missing = ['kid', ...(required ?? [])].filter((name) => !isText(key[name]))
  for (const member of missing)
    report([...path, member], foundInsteadOf(key[member], `a text: every ${key.kty} key has ${member}`))
  return required !== undefined && secret.length === 0 && missing.length === 0
}

/** A certificate that stands beside a key must be of that key, or nobody could ever be known by it. */
function checkCertificate(key: JwkSource, path: PolicyPath, report: EntryReport): void {
  if (key['x5c'] === undefined) return
  const certificate = readListed(key['x5c'])
  if (certificate === undefined || !isCertificateOf(publicPart(key), certificate))
    report(
      [...path, 'x5c'],
      'found no certificate of this key; allowed: a list that begins with it, DER in base64',
    )
}

/** Whether a token could be verified with the key, by the same rules as then; reports it if not. */
function checkUse(key: JwkSource, path: PolicyPath, report: EntryReport): void {
  if (readJwks({ keys: [key] }) === undefined)
    report(
      path,
      'found a key that no token would be verified with; allowed: keys for signatures, RSA of 2048 to 8192 bits with an odd exponent of 65537 or more, not of the ROCA kind',
    )
}

/** Only known public members are bundled with the functions. */
function publicPart(key: JwkSource): PublicJwk {
  const members = ['kid', ...TEXT_MEMBERS].flatMap((name) => (isText(key[name]) ? [[name, key[name]]] : []))
  return { kty: key.kty, ...Object.fromEntries(members) }
}

/** The same, and of the certificate that the key stands for the digest. */
function certifiedPart(key: JwkSource): PublicJwk {
  const certificate = readListed(key['x5c'])
  return { ...publicPart(key), ...(certificate !== undefined && { 'x5t#S256': certificate.thumbprint }) }
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}
