/** `npx token-broker`: the operators' command line. */

import { runCli } from '../lib/cli/run.ts'
import { processTerminal } from '../lib/cli/terminal.ts'

// Whoever reads has had enough (`… | head`): that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

process.exitCode = await runCli(process.argv.slice(2), {
  terminal: processTerminal(),
  now: () => Math.floor(Date.now() / 1000),
})
