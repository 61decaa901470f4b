/** A system of which every state that can be reached is looked at. */
export interface Model<State> {
  readonly initial: State
  /** Everything that may happen next, named. */
  readonly next: (state: State) => readonly (readonly [action: string, state: State])[]
  /** What must never be: a sentence, or `undefined` if all is well. */
  readonly violation: (state: State) => string | undefined
  /** Equal for two states exactly if nobody can tell them apart. */
  readonly key: (state: State) => string
}

export interface Exploration {
  readonly states: number
  /** The shortest way to the first violation: its actions, then what was wrong. */
  readonly counterexample: readonly string[] | undefined
}

interface Visit<State> {
  readonly state: State
  readonly action: string
  readonly from: Visit<State> | undefined
}

/** Visits every reachable state, nearest first, until one is wrong. Throws beyond `limit` states. */
export function explore<State>(model: Model<State>, limit = 500_000): Exploration {
  const seen = new Set([model.key(model.initial)])
  let edge: Visit<State>[] = [{ state: model.initial, action: 'start', from: undefined }]
  while (edge.length > 0) {
    const further: Visit<State>[] = []
    for (const visit of edge) {
      const violation = model.violation(visit.state)
      if (violation !== undefined) return { states: seen.size, counterexample: [...wayTo(visit), violation] }
      for (const [action, state] of model.next(visit.state)) {
        const key = model.key(state)
        if (seen.has(key)) continue
        if (seen.size === limit) throw new Error(`more than ${limit} states`)
        seen.add(key)
        further.push({ state, action, from: visit })
      }
    }
    edge = further
  }
  return { states: seen.size, counterexample: undefined }
}

function wayTo<State>(visit: Visit<State>): readonly string[] {
  return visit.from === undefined ? [] : [...wayTo(visit.from), visit.action]
}
