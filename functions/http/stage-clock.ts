import type { Stage } from '../core/ports.ts'

/** How long a request was in one stage. By `performance.now()`. */
export interface StageTime {
  readonly stage: 'parse' | Stage
  readonly fromMs: number
  readonly toMs: number
}

/** Notes when a request enters which stage. The first is `parse`; each lasts until the next. */
export class StageClock {
  readonly #entered: { readonly stage: StageTime['stage']; readonly fromMs: number }[]

  constructor(startedAtMs: number) {
    this.#entered = [{ stage: 'parse', fromMs: startedAtMs }]
  }

  enter(stage: Stage): void {
    this.#entered.push({ stage, fromMs: performance.now() })
  }

  /** The stages so far, the last of them until `toMs`. */
  until(toMs: number): readonly StageTime[] {
    return this.#entered.map(({ stage, fromMs }, at) => ({
      stage,
      fromMs,
      toMs: this.#entered[at + 1]?.fromMs ?? toMs,
    }))
  }
}
