/** The broker's answer was no answer to what was asked. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
}

/** Asks the console's server. Throws {@link ApiError} with what it says of a request that it does not answer. */
export async function getJson<T>(path: string): Promise<T> {
  return read<T>(await fetch(`/console/api/${path}`))
}

/** Tells the console's server to do something. Throws {@link ApiError} like {@link getJson}. */
export async function postJson<T>(path: string, body: object): Promise<T> {
  const headers = { 'content-type': 'application/json' }
  return read<T>(await fetch(`/console/api/${path}`, { method: 'POST', headers, body: JSON.stringify(body) }))
}

async function read<T>(response: Response): Promise<T> {
  const body = (await response.json()) as T & { readonly error?: string }
  if (!response.ok) throw new ApiError(body.error ?? `the broker answered ${response.status}`)
  return body
}
