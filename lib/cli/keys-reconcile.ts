import { reconcileKeys } from '../../functions/rotate-keys/reconcile.ts'
import { type Command, CommandFailed, DEPLOYMENT_OPTIONS } from './command.ts'
import { explain } from './explain.ts'
import { keyWorld } from './key-world.ts'
import { withProgress } from './terminal.ts'
import { timeOf } from './times.ts'

export const keysReconcile: Command = {
  path: ['keys', 'reconcile'],
  summary: 'take every step of the rotation that is due, now instead of within 15 minutes',
  details:
    'The same steps by the same code, with your credentials. It may run at any time, and as often as you like.',
  example: 'npx token-broker keys reconcile --stage prod',
  options: DEPLOYMENT_OPTIONS,
  run: async ({ deployment, now, terminal, flag }) => {
    const work = reconcileKeys(keyWorld(await deployment(), now))
    const reports = await withProgress(terminal, () => 'making and moving keys…', work)
    const [fault] = reports.flatMap(({ faults }) => faults)
    if (fault !== undefined) throw failed(fault)
    const rings = reports.map(({ ring, nextStepAt }) => ({ ring, next_step_at: nextStepAt }))
    if (flag('json')) terminal.out(JSON.stringify({ rings }, null, 2))
    else
      for (const { ring, next_step_at: at } of rings)
        terminal.out(`${ring}: nothing more to do${at === undefined ? '' : ` until ${timeOf(at)}`}.`)
    return 0
  },
}

function failed(fault: unknown): CommandFailed {
  const { message, next } = explain(fault) ?? {
    message: fault instanceof Error ? fault.message : 'unknown fault',
    next: 'docs/runbooks/signing-keys.md, "A rotation is stuck"',
  }
  return new CommandFailed(`the rotation could not take every step: ${message}`, next, { cause: fault })
}
