/** Requests are known by their place; what each wrote follows from how and when it asked. */
export interface Request {
  readonly ask: number
  readonly now: number
  readonly copies: number
  readonly isWaiting: boolean
  /** Copies given up that may still arrive. */
  readonly late: number
  /** The place of the request whose token this one gets, or that it was a replay. */
  readonly outcome?: number | 'replayed'
  /** What the outcome will be, for a broker that looks before it writes. */
  readonly foreseen?: number | 'replayed'
  readonly end?: 'released' | 'refused' | 'failed' | 'died'
  readonly age: number
  readonly isTroubled: boolean
}

export interface ReplayState {
  readonly time: number
  /** Whose record is under a key; -1 is somebody whose signature was never checked. */
  readonly table: Readonly<Record<string, number>>
  readonly requests: readonly Request[]
  /** Whose record was ever durable. */
  readonly written: readonly number[]
}

/** Of a request that has ended, only what it wrote, may still write, and released is of interest. */
export function canonical({ time, table, requests, written }: ReplayState): string {
  const told = requests.map(
    ({ ask, now, copies, isWaiting, late, outcome, foreseen, end, age, isTroubled }) =>
      end === undefined
        ? [ask, now, late, copies, isWaiting, outcome, foreseen, age, isTroubled]
        : [ask, now, late, end === 'released' ? outcome : end === 'failed' ? isTroubled : end],
  )
  return JSON.stringify([time, Object.entries(table).toSorted(([a], [b]) => (a < b ? -1 : 1)), told, written])
}

/** The state with changes to the request in this place. */
export function withRequest(state: ReplayState, place: number, changes: Partial<Request>): ReplayState {
  const requests = state.requests.map((request, index) =>
    index === place ? { ...request, ...changes } : request,
  )
  return { ...state, requests }
}
