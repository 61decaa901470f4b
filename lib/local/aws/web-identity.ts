import { compactVerify, createLocalJWKSet, decodeJwt, errors, type JSONWebKeySet } from 'jose'
import { isPrivateUrl } from '../../private-url.ts'
import type { JsonObject } from './aws-error.ts'
import { accountOf, type IamAccounts } from './iam-accounts.ts'
import { asObject, textAt } from './service.ts'
import type { VerifyWebIdentity, WebIdentityVerdict } from './sts.ts'
import { audiencesOf } from './web-identity-claims.ts'

export interface WebIdentityOptions {
  readonly accounts: IamAccounts
  /** Epoch milliseconds. */
  readonly clock: () => number
  /** How long an issuer may take for each document. @default 5000, as on AWS */
  readonly timeoutMilliseconds?: number
}

type Refused = Extract<WebIdentityVerdict, { readonly kind: 'refused' }>

const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512']
const REQUIRED_CLAIMS = ['iss', 'sub', 'aud', 'iat', 'exp']
/** Of each type. */
const MOST_KEYS = 100
const AHEAD_SECONDS = 300
const NO_JWT =
  'The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)'
const NO_KEY =
  "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements"

/** The issuer does not answer at all: AWS tells that apart from a wrong answer. */
class Unreachable extends Error {
  override readonly name = 'Unreachable'
}

/**
 * Verifies web identity tokens as STS does: by an OIDC provider of the role's account, and by the keys that the issuer
 * publishes at that moment.
 */
export function webIdentityVerifier(options: WebIdentityOptions): VerifyWebIdentity {
  return async (token, roleArn) => {
    const claims = claimsIn(token)
    if (claims === undefined) return invalid(NO_JWT)
    const missing = REQUIRED_CLAIMS.find((name) => claims[name] === undefined)
    if (missing !== undefined) return invalid(`Missing a required claim: ${missing}`)
    const issuer = textAt(claims, 'iss') ?? ''
    const provider = options.accounts.provider(accountOf(roleArn), issuer)
    if (provider === undefined)
      return invalid(`No OpenIDConnect provider found in your account for ${issuer}`)
    if (!audiencesOf(claims).some((audience) => provider.clientIds.includes(audience)))
      return invalid('Incorrect token audience')
    const refused = (await signatureProblem(token, issuer, options)) ?? timeProblem(claims, options.clock())
    return refused ?? { kind: 'verified', claims }
  }
}

function claimsIn(token: string): JsonObject | undefined {
  try {
    return decodeJwt(token) as JsonObject
  } catch {
    return undefined
  }
}

async function signatureProblem(
  token: string,
  issuer: string,
  { timeoutMilliseconds = 5000 }: WebIdentityOptions,
): Promise<Refused | undefined> {
  let keys: JSONWebKeySet | undefined
  try {
    keys = await publishedKeys(issuer, timeoutMilliseconds)
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error
    return refuse('IDPCommunicationError', 'Error communicating with the identity provider')
  }
  if (keys === undefined) return invalid(NO_KEY)
  try {
    await compactVerify(token, createLocalJWKSet(keys), { algorithms: ALGORITHMS })
    return undefined
  } catch (error) {
    const isUnknownKey = error instanceof errors.JWKSNoMatchingKey
    return invalid(isUnknownKey ? NO_KEY : 'Token signature verification failed')
  }
}

/** By discovery, as STS finds them: `undefined` if what the issuer publishes is not what AWS asks for. */
async function publishedKeys(issuer: string, milliseconds: number): Promise<JSONWebKeySet | undefined> {
  const metadata = await fetchObject(`${issuer}/.well-known/openid-configuration`, milliseconds)
  const uri = textAt(metadata ?? {}, 'jwks_uri')
  if (textAt(metadata ?? {}, 'issuer') !== issuer || uri === undefined) return undefined
  const keys = (await fetchObject(uri, milliseconds))?.['keys']
  if (!Array.isArray(keys)) return undefined
  const ofType = (type: string) => keys.filter((key) => asObject(key)['kty'] === type)
  const isTooMany = ['RSA', 'EC'].some((type) => ofType(type).length > MOST_KEYS)
  return isTooMany ? undefined : { keys: [...ofType('RSA'), ...ofType('EC')] }
}

async function fetchObject(url: string, milliseconds: number): Promise<JsonObject | undefined> {
  // On AWS the issuer is reached by https; here a loopback address stands in for it.
  if (!isPrivateUrl(url)) return undefined
  let text: string
  try {
    const response = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(milliseconds) })
    text = await response.text()
    if (response.status !== 200) return undefined
  } catch (cause) {
    throw new Unreachable(url, { cause })
  }
  try {
    return asObject(JSON.parse(text))
  } catch {
    return undefined
  }
}

function timeProblem(claims: JsonObject, milliseconds: number): Refused | undefined {
  const now = Math.floor(milliseconds / 1000)
  const expires = Number(claims['exp'])
  if (!(now < expires))
    return refuse(
      'ExpiredTokenException',
      `Token expired: current date/time ${now} must be before the expiration date/time ${expires}`,
    )
  const begins = Math.max(Number(claims['iat']), Number(claims['nbf'] ?? 0))
  return begins <= now + AHEAD_SECONDS ? undefined : refuse('IDPRejectedClaim', 'Token is not valid yet')
}

function invalid(message: string): Refused {
  return refuse('InvalidIdentityToken', message)
}

function refuse(code: Refused['code'], message: string): Refused {
  return { kind: 'refused', code, message }
}
