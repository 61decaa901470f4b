import type { Suppressor } from './alarm-definition.ts'
import type { ReplayedState } from './alarm-state.ts'
import type { Rule } from './composite-rule.ts'

/** What other alarms' states come to: `undefined` is that nobody knows. */
type Verdict = boolean | undefined

/** The state of a composite alarm, from those of the alarms that its rule names. */
export function compositeState(rule: Rule, stateOf: (alarm: string) => ReplayedState): ReplayedState {
  switch (verdictOf(rule, stateOf)) {
    case true:
      return 'ALARM'
    case false:
      return 'OK'
    case undefined:
      return 'NOT_EVALUATED'
  }
}

function verdictOf(rule: Rule, stateOf: (alarm: string) => ReplayedState): Verdict {
  switch (rule.kind) {
    case 'constant':
      return rule.holds
    case 'state': {
      const state = stateOf(rule.alarm)
      return state === 'NOT_EVALUATED' ? undefined : state === rule.state
    }
    case 'not':
      return inverse(verdictOf(rule.of, stateOf))
    case 'and':
      return inverse(
        atLeast(
          1,
          rule.all.map((one) => inverse(verdictOf(one, stateOf))),
        ),
      )
    case 'or':
      return atLeast(
        1,
        rule.all.map((one) => verdictOf(one, stateOf)),
      )
    case 'at-least':
      return atLeast(
        rule.number,
        rule.of.map((one) => verdictOf(one, stateOf)),
      )
  }
}

function inverse(verdict: Verdict): Verdict {
  return verdict === undefined ? undefined : !verdict
}

/** Known as soon as what is unknown cannot change it. */
function atLeast(number: number, verdicts: readonly Verdict[]): Verdict {
  if (verdicts.filter((verdict) => verdict === true).length >= number) return true
  return verdicts.filter((verdict) => verdict !== false).length >= number ? undefined : false
}

/** When a composite alarm takes the actions of the state that it then is in. */
export interface ActionTaken {
  readonly minute: number
  readonly state: ReplayedState
}

/**
 * The actions that a composite alarm takes while another keeps it quiet: none while that one is in ALARM, and none before
 * the wait period after its own change, or the extension period after the other's end, is over. A change starts a new
 * wait; the suppressor's ALARM discards it.
 */
export function suppressedActions(
  states: readonly ReplayedState[],
  suppressorStates: readonly ReplayedState[],
  { waitPeriod, extensionPeriod }: Suppressor,
): readonly ActionTaken[] {
  const taken: ActionTaken[] = []
  let isPending = false
  let quietUntil = 0
  for (const [minute, state] of states.entries()) {
    const isSuppressed = suppressorStates[minute] === 'ALARM'
    const wasSuppressed = suppressorStates[minute - 1] === 'ALARM'
    if (!isSuppressed && wasSuppressed) quietUntil = minute + extensionPeriod
    if (state !== (states[minute - 1] ?? 'OK')) {
      isPending = true
      quietUntil = isSuppressed ? quietUntil : minute + waitPeriod
    }
    if (!isPending || isSuppressed || minute < quietUntil) continue
    taken.push({ minute, state })
    isPending = false
  }
  return taken
}
