import type { Command } from './command.ts'
import { keysList } from './keys-list.ts'

/** Every command of `token-broker`. */
export const COMMANDS: readonly Command[] = [keysList]
