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
/** RFC 7518 §6: what only the holder of the private or symmetric key knows. */
const SECRET_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'] as const
const TEXT_MEMBERS = ['alg', 'use', 'crv', 'x', 'y', 'n', 'e'] as const
/** A 2048-bit modulus in base64url (RFC 7518 §3.3 asks for no less). */
const MIN_MODULUS_CHARACTERS = 342

/** The keys of an inline JWKS that verify signatures; reports any that is not public, asymmetric and named by a `kid`. */
export function readPublicKeys(
  keys: readonly JwkSource[],
  path: PolicyPath,
  report: EntryReport,
): readonly PublicJwk[] {
  if (keys.length > LIMITS.jwksKeys)
    report(path, `found ${keys.length} keys; allowed: at most ${LIMITS.jwksKeys}`)
  keys.forEach((key, at) => {
    checkMembers(key, [...path, at], report)
    const first = keys.findIndex(({ kid }) => kid === key['kid'])
    if (key['kid'] !== undefined && first < at)
      report([...path, at, 'kid'], foundInsteadOf(key['kid'], 'a kid that no other key of the issuer has'))
  })
  return keys.map(publicPart)
}

function checkMembers(key: JwkSource, path: PolicyPath, report: EntryReport): void {
  const required = REQUIRED_MEMBERS.get(key.kty)
  if (required === undefined)
    report([...path, 'kty'], foundInsteadOf(key.kty, [...REQUIRED_MEMBERS.keys()].join(', ')))
  for (const member of SECRET_MEMBERS.filter((name) => Object.hasOwn(key, name)))
    report(
      [...path, member],
      `found the secret member ${member}; allowed: public keys only. Treat this key as leaked`,
    )
  for (const member of ['kid', ...(required ?? [])].filter((name) => !isText(key[name])))
    report([...path, member], foundInsteadOf(key[member], `a text: every ${key.kty} key has ${member}`))
  const modulus = key['n']
  if (key.kty === 'RSA' && isText(modulus) && modulus.length < MIN_MODULUS_CHARACTERS)
    report([...path, 'n'], 'found a short RSA modulus; allowed: 2048 bits or more')
}

/** Only known public members are bundled with the functions. */
function publicPart(key: JwkSource): PublicJwk {
  const members = ['kid', ...TEXT_MEMBERS].flatMap((name) => (isText(key[name]) ? [[name, key[name]]] : []))
  return { kty: key.kty, ...Object.fromEntries(members) }
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}
