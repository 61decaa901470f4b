import { type CommandContext, CommandFailed } from './command.ts'

/**
 * Shows the plan, and goes on only if somebody says so: `--yes`, or a person who types yes. Throws {@link CommandFailed}
 * otherwise: off a terminal there is nobody to ask.
 */
export async function confirmPlan(
  { terminal, flag }: CommandContext,
  plan: readonly string[],
  question: string,
): Promise<void> {
  for (const line of plan) terminal.err(line)
  terminal.err('')
  if (flag('yes')) return
  if (!terminal.isInteractive)
    throw new CommandFailed(
      'nobody is there to confirm the plan: nothing was changed',
      'add --yes to carry it out',
    )
  const answer = await terminal.ask(`${question} Type yes to go on: `)
  if (answer.trim() !== 'yes')
    throw new CommandFailed(
      'not confirmed: nothing was changed',
      'run the command again when the plan is what you want',
    )
}
