import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto'
import { SignatureV4 } from '@smithy/signature-v4'
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
    sha256: Sha256,
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

/** Node's SHA-256 in the form that the SDK's signer asks for. */
class Sha256 {
  readonly #hash: Hash | Hmac

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', keyOf(secret))
  }

  update(data: string | Uint8Array): void {
    this.#hash.update(data)
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest()
  }

  reset(): void {
    throw new Error('a hash is used once')
  }
}

function keyOf(secret: string | ArrayBuffer | ArrayBufferView): string | Uint8Array {
  if (typeof secret === 'string') return secret
  return ArrayBuffer.isView(secret)
    ? new Uint8Array(secret.buffer, secret.byteOffset, secret.byteLength)
    : new Uint8Array(secret)
}
