import { canonicalName } from '../client-certificate.ts'
import { isSecretDigest } from '../client-secret.ts'
import { readDistinguishedName } from '../distinguished-name.ts'
import { fitsAlgorithm, SUBJECT_ALGORITHMS } from '../issuer-jwks.ts'
import type { ClientId, SubjectAlgorithm, TargetId } from '../types.ts'
import { checkReference, type EntryReport, withoutMutualTls } from './checks.ts'
import type { CertificateName, Client, ClientAuthenticationMethod, ClientKeySource } from './compiled.ts'
import { foundInsteadOf } from './finding.ts'
import type { Entry, MergedPolicy, Report } from './merge.ts'
import { readPublicKeys } from './public-keys.ts'
import { type ClientSource, DN_RULE } from './schema.ts'
import { isAcceptableUrl } from './urls.ts'

type AuthenticationSource = ClientSource['authentication']

/** What the policy is compiled for. */
interface Deployment {
  readonly loopbackIssuers: boolean
  readonly mutualTls?: boolean
}

/** Accepted of a client that names no algorithms, as far as its keys fit: one for each kind of key, and RSA's two. */
const DEFAULT_ALGORITHMS: readonly SubjectAlgorithm[] = ['RS256', 'PS256', 'ES256', 'EdDSA']
/** One in use, and one that replaces it. */
const MAX_DIGESTS = 2

/** RFC 8705 §2.1.2: the one name by which a certificate is the client's. */
const NAME_KINDS = {
  tls_client_auth_subject_dn: 'subject',
  tls_client_auth_san_dns: 'dns',
  tls_client_auth_san_uri: 'uri',
  tls_client_auth_san_ip: 'ip',
  tls_client_auth_san_email: 'email',
} as const
const NAME_RULES: Readonly<Record<CertificateName['kind'], string>> = {
  subject: DN_RULE,
  dns: 'a host name without wildcard',
  uri: 'a URI',
  ip: 'an IP address',
  email: 'an e-mail address',
}
const NAME_KEYS = Object.keys(NAME_KINDS) as readonly (keyof typeof NAME_KINDS)[]

/** What belongs to each method. A key of another method would be ignored, and is refused instead. */
const KEYS_OF_METHOD: Readonly<
  Record<AuthenticationSource['method'], readonly (keyof AuthenticationSource)[]>
> = {
  private_key_jwt: ['jwks', 'jwks_uri', 'algorithms'],
  client_secret_basic: ['secret_digests'],
  tls_client_auth: NAME_KEYS,
  self_signed_tls_client_auth: ['jwks', 'jwks_uri'],
}

/** The clients of a policy, each checked on its own and against the targets that it refers to. */
export function compileClients(merged: MergedPolicy, options: Deployment, report: Report): readonly Client[] {
  return [...merged.clients.values()].map((entry) => {
    const reportHere: EntryReport = (path, message) => report(entry, path, message)
    checkReferences(entry.source, merged, reportHere)
    return compileClient(entry, options, reportHere)
  })
}

function checkReferences(source: ClientSource, { known }: MergedPolicy, report: EntryReport): void {
  for (const key of ['introspects', 'revokes'] as const)
    source[key]?.forEach((target, at) => {
      checkReference(target, { path: [key, at], known: known.targets }, report)
    })
  const { default_target: target } = source
  if (target !== undefined) checkReference(target, { path: ['default_target'], known: known.targets }, report)
}

function compileClient(
  { id, source }: Entry<ClientSource>,
  deployment: Deployment,
  report: EntryReport,
): Client {
  const { authentication, introspects = [], revokes = [], default_target: defaultTarget } = source
  checkMethod(authentication, deployment, report)
  return {
    id: id as ClientId,
    authentication: compileMethod(authentication, deployment, report),
    introspects: introspects as TargetId[],
    revokes: revokes as TargetId[],
    ...(defaultTarget !== undefined && { defaultTarget: defaultTarget as TargetId }),
  }
}

function checkMethod(
  source: AuthenticationSource,
  { mutualTls = false }: Deployment,
  report: EntryReport,
): void {
  const { method } = source
  if (/^(?:self_signed_)?tls_/.test(method) && !mutualTls)
    report(['authentication', 'method'], withoutMutualTls(method, 'private_key_jwt, client_secret_basic'))
  const known = KEYS_OF_METHOD[method]
  const foreign = [...new Set(Object.values(KEYS_OF_METHOD).flat())].filter(
    (key) => !known.includes(key) && source[key] !== undefined,
  )
  for (const key of foreign)
    report(['authentication', key], `found ${key} beside method ${method}; allowed: ${known.join(', ')}`)
}

function compileMethod(
  source: AuthenticationSource,
  { loopbackIssuers: loopback }: Deployment,
  report: EntryReport,
): ClientAuthenticationMethod {
  const { method } = source
  switch (method) {
    case 'client_secret_basic':
      return { method, digests: digestsOf(source, report) }
    case 'tls_client_auth':
      return { method, name: nameOf(source, report) }
    case 'private_key_jwt':
      return { method, ...assertionKeysOf(source, loopback, report) }
    case 'self_signed_tls_client_auth':
      return { method, keys: keysOf(source, loopback, report, SUBJECT_ALGORITHMS) }
  }
}

/** Exactly one (RFC 8705 §2.1.2): of two it would not be clear whether both must be there. */
function nameOf(source: AuthenticationSource, report: EntryReport): CertificateName {
  const given = NAME_KEYS.filter((key) => source[key] !== undefined)
  const [key = 'tls_client_auth_subject_dn'] = given
  if (given.length !== 1)
    report(
      ['authentication'],
      `found ${given.join(', ') || 'no name'}; allowed: exactly one of ${NAME_KEYS.join(', ')}`,
    )
  const kind = NAME_KINDS[key]
  const text = source[key] ?? ''
  const value = kind === 'subject' ? readDistinguishedName(text) : canonicalName(kind, text)
  if (given.length === 1 && (value === undefined || (kind === 'dns' && text.includes('*'))))
    report(['authentication', key], foundInsteadOf(text, NAME_RULES[kind]))
  return { kind, value: value ?? '' }
}

/** The values are not shown: what stands there by mistake could be the secret itself. */
function digestsOf(
  { secret_digests: digests }: AuthenticationSource,
  report: EntryReport,
): readonly string[] {
  const place = ['authentication', 'secret_digests']
  if (digests === undefined)
    report(place, foundInsteadOf(undefined, 'one digest, or two while the secret is replaced'))
  if (digests !== undefined && digests.length > MAX_DIGESTS)
    report(place, `found ${digests.length} digests; allowed: one, or two while the secret is replaced`)
  digests?.forEach((digest, at) => {
    if (!isSecretDigest(digest))
      report(
        [...place, at],
        'found a text that is no digest; allowed: hmac-sha256:SALT:DIGEST, as `token-broker clients secret` prints it. If it is the secret, treat it as leaked',
      )
    if (digests.indexOf(digest) < at) report([...place, at], 'found a digest twice; allowed: each once')
  })
  return digests ?? []
}

function assertionKeysOf(
  source: AuthenticationSource,
  loopback: boolean,
  report: EntryReport,
): { readonly keys: ClientKeySource; readonly algorithms: readonly SubjectAlgorithm[] } {
  const { algorithms = DEFAULT_ALGORITHMS } = source
  const keys = keysOf(source, loopback, report, algorithms)
  if (keys.kind === 'jwks_uri') return { keys, algorithms }
  const fits = (algorithm: SubjectAlgorithm) => keys.keys.some((key) => fitsAlgorithm(key, algorithm))
  return { keys, algorithms: algorithms.filter(fits) }
}

function keysOf(
  { method, jwks, jwks_uri: uri }: AuthenticationSource,
  loopback: boolean,
  report: EntryReport,
  algorithms: readonly SubjectAlgorithm[],
): ClientKeySource {
  if ((jwks === undefined) === (uri === undefined))
    report(
      ['authentication'],
      `found ${uri === undefined ? 'neither' : 'both'} jwks ${uri === undefined ? 'nor' : 'and'} jwks_uri; allowed: one of them`,
    )
  if (jwks === undefined) return { kind: 'jwks_uri', uri: checkedUri(uri, loopback, report) }
  const path = ['authentication', 'jwks', 'keys']
  const ofCertificates = method === 'self_signed_tls_client_auth'
  const place = { path, algorithms, owner: 'client', ofCertificates } as const
  return { kind: 'inline', keys: readPublicKeys(jwks.keys, place, report) }
}

function checkedUri(uri: string | undefined, loopback: boolean, report: EntryReport): string {
  if (uri !== undefined && !isAcceptableUrl(uri, { loopback, query: true }))
    report(['authentication', 'jwks_uri'], foundInsteadOf(uri, 'an https URL without user and fragment'))
  return uri ?? ''
}
