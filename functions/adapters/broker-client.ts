import type { BrokerAnswer, SendToBroker } from '../core/ports.ts'

/** Longer than the broker takes to give up by itself, a cold start included. */
const REQUEST_MS = 8000

/** Sends requests to the broker's public URL, as any client does; to no other host, and following no redirect. */
export function brokerClient(brokerIssuer: string): SendToBroker {
  return async ({ path, form }, deadline) => {
    const response = await fetch(`${brokerIssuer}${path}`, {
      redirect: 'error',
      signal: AbortSignal.any([deadline, AbortSignal.timeout(REQUEST_MS)]),
      ...(form && { method: 'POST', body: new URLSearchParams(form) }),
    })
    return {
      status: response.status,
      correlationId: response.headers.get('x-correlation-id') ?? undefined,
      body: bodyOf(await response.text()),
    }
  }
}

function bodyOf(text: string): BrokerAnswer['body'] {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}
