import { createHash, createHmac } from 'node:crypto'
import { SignatureV4 } from '@smithy/signature-v4'

export interface SigningOptions {
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string }
  /** @default 'eu-west-1' */
  readonly region?: string
  /** @default 'execute-api' */
  readonly service?: string
  /** @default - now */
  readonly signingDate?: Date
}

/** The second argument of `fetch`. */
export interface SignedInit {
  readonly method: string
  readonly headers: Record<string, string>
  readonly body?: string
}

/** What `fetch` needs to send a request that the AWS SDK's own signer has signed. */
export async function signRequest(
  url: string,
  request: {
    readonly method: string
    readonly body?: string
    readonly headers?: Readonly<Record<string, string>>
  },
  options: SigningOptions,
): Promise<SignedInit> {
  const { host, hostname, port, pathname, protocol, searchParams } = new URL(url)
  const { credentials, region = 'eu-west-1', service = 'execute-api', signingDate = new Date() } = options
  const signer = new SignatureV4({ credentials, region, service, sha256: Sha256 })
  const signed = await signer.sign(
    {
      method: request.method,
      protocol,
      hostname,
      port: Number(port),
      path: pathname,
      query: Object.fromEntries(searchParams),
      headers: { ...request.headers, host },
      body: request.body,
    },
    { signingDate },
  )
  const { method, body } = request
  return { method, headers: signed.headers, ...(body !== undefined && { body }) }
}

/** Node's SHA-256 in the form that the signer asks for. */
class Sha256 {
  readonly #hash: ReturnType<typeof createHash>

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = (secret === undefined
      ? createHash('sha256')
      : createHmac('sha256', secret as Buffer)) as unknown as ReturnType<typeof createHash>
  }

  update(data: Uint8Array | string): void {
    this.#hash.update(data)
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest()
  }

  reset(): void {
    throw new Error('used once only')
  }
}
