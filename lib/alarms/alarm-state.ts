/** A state of an alarm, as CloudWatch names it. */
export type AlarmState = 'OK' | 'ALARM' | 'INSUFFICIENT_DATA'

/** What the replayer says of an alarm in a minute: its state, or that it cannot know. */
export type ReplayedState = AlarmState | 'NOT_EVALUATED'

/** From `minute` on, until the next change. */
export interface StateChange {
  readonly minute: number
  readonly state: ReplayedState
}

/** An alarm's states over a timeline; the first change is at minute 0. */
export type StateHistory = readonly StateChange[]

/** The changes in a state per minute. */
export function historyOf(states: readonly ReplayedState[]): StateHistory {
  return states.flatMap((state, minute) => (state === states[minute - 1] ? [] : [{ minute, state }]))
}
