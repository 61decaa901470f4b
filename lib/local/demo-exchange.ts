/** How one asks the local broker: for its start, and for its console's page, which runs in a browser. */
import type { JsonObject } from './assembly.ts'

/** Path below which the local cloud mounts the demo issuer. */
export const DEMO_ISSUER_PATH = '/demo-issuer/'
export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
export const JWT_TYPE = 'urn:ietf:params:oauth:token-type:jwt'
export const ACCESS_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:access_token'
export const AWS_CREDENTIALS_TYPE = 'urn:token-broker:token-type:aws-credentials'

/** What to have signed, and what to exchange it for. */
export interface DemoExchange {
  readonly signRequest: { readonly preset?: string; readonly issuer?: string; readonly claims?: JsonObject }
  readonly audience: string
  /** @default - the grant's default scopes */
  readonly scope?: string
  /** What the target gives. @default - a token */
  readonly format?: string
}

/** One shell command that signs a fresh subject token (they can be used once) and exchanges it. */
export function curlLine(url: string, { signRequest, audience, scope, format }: DemoExchange): string {
  const json = JSON.stringify(signRequest).replaceAll("'", '\\u0027')
  const signing = `curl -s -H 'Accept: text/plain' -d '${json}' ${url}${DEMO_ISSUER_PATH}sign`
  return [
    `curl -s ${url}/token`,
    `-d grant_type=${TOKEN_EXCHANGE}`,
    `-d subject_token_type=${JWT_TYPE}`,
    `--data-urlencode audience=${quoted(audience)}`,
    ...(scope === undefined ? [] : [`--data-urlencode scope=${quoted(scope)}`]),
    ...(format === 'aws-credentials' ? [`-d requested_token_type=${AWS_CREDENTIALS_TYPE}`] : []),
    `-d subject_token="$(${signing})"`,
  ].join(' ')
}

/** As one word of a shell: URIs and scopes may have what means something to it. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
