import { SignatureV4 } from '@smithy/signature-v4'
import { NodeSha256 } from '../../functions/adapters/node-sha256.ts'
import type { Deployment } from './deployment.ts'

/** The gateway gives up before. */
const PATIENCE_MILLISECONDS = 30_000

/** The answer to a request: its status, and what it says if that is a JSON object. */
export interface SignedAnswer {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
}

/**
 * Posts JSON to a path of the broker that asks for IAM, signed with the operator's credentials. Throws what `fetch`
 * throws, and `TimeoutError` after 30 s.
 */
export async function postSigned(
  { issuer, awsConfig }: Pick<Deployment, 'issuer' | 'awsConfig'>,
  path: string,
  content: object,
): Promise<SignedAnswer> {
  const url = new URL(path, issuer)
  const body = JSON.stringify(content)
  const signer = new SignatureV4({
    credentials: awsConfig.credentials,
    region: awsConfig.region,
    service: 'execute-api',
    sha256: NodeSha256,
  })
  const { headers } = await signer.sign({
    method: 'POST',
    protocol: url.protocol,
    hostname: url.hostname,
    ...(url.port !== '' && { port: Number(url.port) }),
    path: url.pathname,
    query: {},
    headers: { host: url.host, 'content-type': 'application/json' },
    body,
  })
  const signal = AbortSignal.timeout(PATIENCE_MILLISECONDS)
  const answer = await fetch(url, { method: 'POST', headers, body, redirect: 'error', signal })
  return { status: answer.status, body: objectIn(await answer.text()) }
}

function objectIn(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}
