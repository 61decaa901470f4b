import { isSecretDigest } from '../client-secret.ts'
import { fitsAlgorithm } from '../issuer-jwks.ts'
import type { ClientId, SubjectAlgorithm, TargetId } from '../types.ts'
import { type EntryReport, idsOf } from './checks.ts'
import type { Client, ClientAuthenticationMethod } from './compiled.ts'
import { foundInsteadOf } from './finding.ts'
import type { Entry, MergedPolicy, Report } from './merge.ts'
import { readPublicKeys } from './public-keys.ts'
import type { ClientSource } from './schema.ts'
import { isAcceptableUrl } from './urls.ts'

type AuthenticationSource = ClientSource['authentication']

/** Accepted of a client that names no algorithms, as far as its keys fit: one for each kind of key, and RSA's two. */
const DEFAULT_ALGORITHMS: readonly SubjectAlgorithm[] = ['RS256', 'PS256', 'ES256', 'EdDSA']
/** One in use, and one that replaces it. */
const MAX_DIGESTS = 2

/** What belongs to each method. A key of another method would be ignored, and is refused instead. */
const KEYS_OF_METHOD: Readonly<Record<string, readonly (keyof AuthenticationSource)[]>> = {
  private_key_jwt: ['jwks', 'jwks_uri', 'algorithms'],
  client_secret_basic: ['secret_digests'],
}

/** The clients of a policy, each checked on its own and against the targets that it refers to. */
export function compileClients(
  merged: MergedPolicy,
  options: { readonly loopbackIssuers: boolean },
  report: Report,
): readonly Client[] {
  return [...merged.clients.values()].map((entry) => {
    const reportHere: EntryReport = (path, message) => report(entry, path, message)
    checkReferences(entry.source, merged, reportHere)
    return compileClient(entry, options.loopbackIssuers, reportHere)
  })
}

function checkReferences(source: ClientSource, { targets }: MergedPolicy, report: EntryReport): void {
  for (const key of ['introspects', 'revokes'] as const)
    source[key]?.forEach((target, at) => {
      if (!targets.has(target)) report([key, at], foundInsteadOf(target, idsOf(targets)))
    })
  const { default_target: target } = source
  if (target !== undefined && !targets.has(target))
    report(['default_target'], foundInsteadOf(target, idsOf(targets)))
}

function compileClient({ id, source }: Entry<ClientSource>, loopback: boolean, report: EntryReport): Client {
  const { authentication, introspects = [], revokes = [], default_target: defaultTarget } = source
  checkMethod(authentication, report)
  return {
    id: id as ClientId,
    authentication:
      authentication.method === 'client_secret_basic'
        ? { method: 'client_secret_basic', digests: digestsOf(authentication, report) }
        : keyMethod(authentication, loopback, report),
    introspects: introspects as TargetId[],
    revokes: revokes as TargetId[],
    ...(defaultTarget !== undefined && { defaultTarget: defaultTarget as TargetId }),
  }
}

function checkMethod(source: AuthenticationSource, report: EntryReport): void {
  const known = KEYS_OF_METHOD[source.method]
  if (known === undefined) return // `unavailable.ts` says so
  const foreign = Object.values(KEYS_OF_METHOD)
    .flat()
    .filter((key) => !known.includes(key) && source[key] !== undefined)
  for (const key of foreign)
    report(
      ['authentication', key],
      `found ${key} beside method ${source.method}; allowed: ${known.join(', ')}`,
    )
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

function keyMethod(
  source: AuthenticationSource,
  loopback: boolean,
  report: EntryReport,
): ClientAuthenticationMethod {
  const method = 'private_key_jwt'
  const { jwks, jwks_uri: uri, algorithms = DEFAULT_ALGORITHMS } = source
  if (source.method === method && (jwks === undefined) === (uri === undefined))
    report(
      ['authentication'],
      `found ${uri === undefined ? 'neither' : 'both'} jwks ${uri === undefined ? 'nor' : 'and'} jwks_uri; allowed: one of them`,
    )
  if (jwks === undefined)
    return { method, keys: { kind: 'jwks_uri', uri: checkedUri(uri, loopback, report) }, algorithms }
  const place = { path: ['authentication', 'jwks', 'keys'], algorithms, owner: 'client' } as const
  const keys = readPublicKeys(jwks.keys, place, report)
  const fitting = algorithms.filter((algorithm) => keys.some((key) => fitsAlgorithm(key, algorithm)))
  return { method, keys: { kind: 'inline', keys }, algorithms: fitting }
}

function checkedUri(uri: string | undefined, loopback: boolean, report: EntryReport): string {
  if (uri !== undefined && !isAcceptableUrl(uri, { loopback, query: true }))
    report(['authentication', 'jwks_uri'], foundInsteadOf(uri, 'an https URL without user and fragment'))
  return uri ?? ''
}
