import { isReason } from '../../functions/core/revocation.ts'
import { type CommandContext, UsageError } from './command.ts'

const MAX_CHARACTERS = 256

/** Why something is revoked, as given by `--reason`. Throws {@link UsageError}. */
export function reasonOf({ text }: CommandContext): string {
  const reason = text('reason')?.trim() ?? ''
  if (reason === '') throw new UsageError('--reason is missing: say why, for the record')
  if (reason.length > MAX_CHARACTERS || !isReason(reason))
    throw new UsageError(
      `--reason: allowed is one line of at most ${MAX_CHARACTERS} characters, and no token`,
    )
  return reason
}
