/** Runs tasks that share a key one after the other, in the order in which they were given. */
export class KeyLock {
  readonly #tails = new Map<string, Promise<unknown>>()

  /** Takes its place behind every key at once, so that tasks with several keys cannot deadlock. */
  async run<Result>(keys: readonly string[], task: () => Promise<Result>): Promise<Result> {
    const ahead = keys.map((key) => this.#tails.get(key)).filter((tail) => tail !== undefined)
    const result = ahead.length > 0 ? Promise.all(ahead).then(task) : task()
    const tail = result.catch(() => undefined)
    for (const key of keys) this.#tails.set(key, tail)
    await tail
    for (const key of keys) if (this.#tails.get(key) === tail) this.#tails.delete(key)
    return result
  }
}
