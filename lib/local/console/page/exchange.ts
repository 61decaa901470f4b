import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import {
  ACCESS_TOKEN_TYPE,
  AWS_CREDENTIALS_TYPE,
  DEMO_ISSUER_PATH,
  type DemoExchange,
  JWT_TYPE,
  TOKEN_EXCHANGE,
} from '../../demo-exchange.ts'
import { send } from './api.ts'

/** The broker's answer to a form. */
export interface BrokerAnswer {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
  readonly correlationId: string
}

/** A token as the page could make sense of it. It lives as long as it is shown. */
export interface ReadToken {
  readonly state: 'verified' | 'does not verify' | 'no JWT'
  /** More about it, in words. */
  readonly verdict: string
  readonly header?: object
  readonly claims?: object
}

/** Has the demo issuer sign a subject token. Throws with what it refuses. */
export async function signSubject(signRequest: DemoExchange['signRequest']): Promise<string> {
  const response = await send(`${DEMO_ISSUER_PATH}sign`, {
    method: 'POST',
    body: JSON.stringify(signRequest),
  })
  const { token, error } = (await response.json()) as { readonly token?: string; readonly error?: string }
  if (token === undefined) throw new Error(error ?? 'the demo issuer did not sign')
  return token
}

/** What is asked for in exchange for a token. */
export interface Asked {
  readonly audience: string
  readonly scope: string
  /** What the target gives. */
  readonly format: string
  /** Whether the subject token is one of the broker's own. */
  readonly isOurs: boolean
}

/** Exchanges a token, as any client does. */
export function exchangeToken(
  token: string,
  { audience, scope, format, isOurs }: Asked,
): Promise<BrokerAnswer> {
  return postForm('/token', {
    grant_type: TOKEN_EXCHANGE,
    subject_token: token,
    subject_token_type: isOurs ? ACCESS_TOKEN_TYPE : JWT_TYPE,
    requested_token_type: format === 'aws-credentials' ? AWS_CREDENTIALS_TYPE : '',
    audience,
    scope,
  })
}

/** Asks about a token with the credentials of a registered client. */
export function introspectToken(token: string, client: string, secret: string): Promise<BrokerAnswer> {
  // RFC 6749 §2.3.1: both are form-encoded before they are joined.
  const encoded = [client, secret].map((part) => encodeURIComponent(part).replaceAll('%20', '+')).join(':')
  return postForm('/introspect', { token }, { authorization: `Basic ${btoa(encoded)}` })
}

async function postForm(
  path: string,
  form: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>> = {},
): Promise<BrokerAnswer> {
  const body = new URLSearchParams(form)
  // Without credentials of its own the browser does not ask for some when a secret is refused with `WWW-Authenticate`.
  const response = await send(path, { method: 'POST', body, headers, credentials: 'omit' })
  const text = await response.text()
  return {
    status: response.status,
    body: text === '' ? {} : (JSON.parse(text) as BrokerAnswer['body']),
    correlationId: response.headers.get('x-correlation-id') ?? '',
  }
}

/** Verifies a token of the broker against the keys that it publishes now, as a resource server would. */
export async function verifyToken(
  token: string,
  { issuer, audience, format }: Pick<Asked, 'audience' | 'format'> & { readonly issuer: string },
): Promise<ReadToken> {
  if (format === 'aws-credentials') return readCredentials(token)
  if (token.startsWith('rt_'))
    return {
      state: 'no JWT',
      verdict: 'a reference token: nothing can be read in it, the broker has to be asked',
    }
  try {
    const keys = createRemoteJWKSet(new URL('/.well-known/jwks.json', location.href))
    const { payload, protectedHeader } = await jwtVerify(token, keys, { issuer, audience, typ: 'at+jwt' })
    return {
      state: 'verified',
      verdict: `in this page: signed ${protectedHeader.alg} by ${protectedHeader.kid}`,
      header: protectedHeader,
      claims: payload,
    }
  } catch (error) {
    return { state: 'does not verify', verdict: String(error), header: headerOf(token) }
  }
}

/** Of AWS credentials what is no secret. */
function readCredentials(document: string): ReadToken {
  const { AccessKeyId, Expiration } = JSON.parse(document) as Readonly<Record<string, string>>
  return {
    state: 'no JWT',
    verdict: 'credentials of the role, which AWS itself checks',
    claims: { AccessKeyId, Expiration },
  }
}

function headerOf(token: string): object {
  try {
    return decodeProtectedHeader(token)
  } catch {
    return {}
  }
}
