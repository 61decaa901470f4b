/** The broker's answer was no answer to what was asked. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
}

/** Nobody answered: `fetch` says of that only that it failed, in each browser's own words. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable'

  constructor(cause: unknown) {
    super('The broker does not answer. Is npm start still running?', { cause })
  }
}

/** Sends a request of the page. Throws {@link Unreachable}. */
export async function send(path: string, request: RequestInit = {}): Promise<Response> {
  return fetch(path, request).catch((error: unknown) => {
    throw new Unreachable(error)
  })
}

/** Asks the console's server. Throws {@link ApiError} with what it says of a request that it does not answer. */
export async function getJson<T>(path: string): Promise<T> {
  return read<T>(await send(`/console/api/${path}`))
}

/** Tells the console's server to do something. Throws {@link ApiError} like {@link getJson}. */
export async function postJson<T>(path: string, body: object): Promise<T> {
  const headers = { 'content-type': 'application/json' }
  return read<T>(await send(`/console/api/${path}`, { method: 'POST', headers, body: JSON.stringify(body) }))
}

async function read<T>(response: Response): Promise<T> {
  const body = (await response.json()) as T & { readonly error?: string }
  if (!response.ok) throw new ApiError(body.error ?? `the broker answered ${response.status}`)
  return body
}
