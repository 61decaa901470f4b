/** `npx token-broker`: the operators' command line. */

import { runCli } from '../lib/cli/run.ts'
import { processTerminal } from '../lib/cli/terminal.ts'

process.exitCode = await runCli(process.argv.slice(2), {
  terminal: processTerminal(),
  now: () => Math.floor(Date.now() / 1000),
})
