import { startLocalCloud } from '../../lib/local/cloud.ts'
import type { LegContext } from './leg.ts'

export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
export const JWT_TYPE = 'urn:ietf:params:oauth:token-type:jwt'

/** Two exchanges that the demo policy grants, one for each algorithm that the broker signs with. */
export const EXCHANGES = [
  { algorithm: 'RS256', preset: 'github-actions', audience: 'https://payments.example.com' },
  { algorithm: 'ES256', preset: 'gitlab', audience: 'https://ledger.example.com' },
] as const

/** The local cloud, as whoever only speaks HTTP sees it. */
export interface Broker {
  readonly url: string
  readonly jwksUrl: string
  /** A fresh token of the demo issuer. */
  subjectToken(preset: string): Promise<string>
  /** The access token that the broker gives for a fresh subject token. Throws what it answers if it refuses. */
  accessToken(preset: string, audience: string): Promise<string>
}

/** Starts the broker on loopback for the duration of a leg. */
export async function startBroker({ synthesis, defer }: LegContext): Promise<Broker> {
  const { assemblyFolder, policy } = synthesis()
  const defects: unknown[] = []
  const cloud = await startLocalCloud({
    assemblyFolder,
    issuers: policy.issuers,
    onDefect: (defect) => void defects.push(defect),
  })
  defer(() => cloud.close())
  const { url } = cloud
  const subjectToken = async (preset: string) => {
    const body = JSON.stringify({ preset })
    const response = await fetch(`${url}/demo-issuer/sign`, { method: 'POST', body })
    return ((await response.json()) as { readonly token: string }).token
  }
  return {
    url,
    jwksUrl: `${url}/.well-known/jwks.json`,
    subjectToken,
    accessToken: async (preset, audience) => {
      const token = await requestToken(url, await subjectToken(preset), audience)
      if (defects.length > 0) throw new Error(`the local cloud found a defect: ${JSON.stringify(defects)}`)
      return token
    },
  }
}

/** Exchanges the subject token at the broker at `url`. Throws what it answers if it refuses. */
export async function requestToken(url: string, subjectToken: string, audience: string): Promise<string> {
  const form = {
    grant_type: TOKEN_EXCHANGE,
    subject_token: subjectToken,
    subject_token_type: JWT_TYPE,
    audience,
  }
  const response = await fetch(`${url}/token`, { method: 'POST', body: new URLSearchParams(form) })
  const text = await response.text()
  if (response.status !== 200) throw new Error(`the broker answered ${response.status}: ${text}`)
  return (JSON.parse(text) as { readonly access_token: string }).access_token
}
