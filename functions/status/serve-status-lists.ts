import { STATUS_DELAYS } from '../core/status-list.ts'
import { type StatusWorld, statusListToken } from '../core/status-list-token.ts'
import { jsonAnswer, perishableAnswer } from '../http/answer.ts'
import { type Serve, servedRefusal } from '../http/rim.ts'

const PATH = /^\/status\/(0|[1-9][0-9]{0,11})$/
const ANSWER = { contentType: 'application/statuslist+jwt', maxAgeSeconds: STATUS_DELAYS.httpCache }

/** `GET /status/{list}`: status list tokens (Token Status List §8). */
export function serveStatusLists(world: StatusWorld): Serve {
  const lists = new ComputedLists((list, now) => statusListToken(list, world, now))
  return async (request, { now }) => {
    const [, list] = PATH.exec(request.path) ?? []
    if (list === undefined) return { outcome: 'refused', answer: jsonAnswer(404, { error: 'not_found' }) }
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return servedRefusal({ kind: 'method_not_allowed', allow: 'GET, HEAD' })
    // `time` asks for the list of another day (§8.4), and nothing else is defined: a list of now is not the answer.
    if (request.hasQuery) return { outcome: 'refused', answer: jsonAnswer(501, { error: 'not_implemented' }) }
    const token = await lists.at(Number(list), now)
    if (token === undefined) return { outcome: 'refused', answer: jsonAnswer(404, { error: 'not_found' }) }
    return { outcome: 'succeeded', answer: perishableAnswer(request, token, ANSWER) }
  }
}

/** Lists that an environment keeps at once. Each is about 1 kB. */
const MAX_LISTS = 256

interface Computed {
  /** When reading began, epoch seconds. */
  readonly at: number
  readonly token: Promise<string | undefined>
}

/** The lists that this environment has computed, or is computing, each at most once per 20 s. */
class ComputedLists {
  readonly #compute: (list: number, now: number) => Promise<string | undefined>
  readonly #computed = new Map<number, Computed>()

  constructor(compute: (list: number, now: number) => Promise<string | undefined>) {
    this.#compute = compute
  }

  async at(list: number, now: number): Promise<string | undefined> {
    const known = this.#computed.get(list)
    // A clock that was put back must not make a list live longer.
    if (known !== undefined && known.at <= now && now - known.at < STATUS_DELAYS.computed) return known.token
    const computing: Computed = { at: now, token: this.#compute(list, now) }
    this.#keep(list, computing)
    const drop = () => {
      if (this.#computed.get(list) === computing) this.#computed.delete(list)
    }
    // What fails, or is not there yet, is asked for again by the next request.
    computing.token.then((token) => token === undefined && drop(), drop)
    return computing.token
  }

  #keep(list: number, computing: Computed): void {
    this.#computed.delete(list)
    const [oldest] = this.#computed.keys()
    if (this.#computed.size >= MAX_LISTS && oldest !== undefined) this.#computed.delete(oldest)
    this.#computed.set(list, computing)
  }
}
