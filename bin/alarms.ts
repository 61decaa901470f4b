/** `npm run alarms`: which alarms ring in a scenario, and whom they call. */

import { runAlarms } from '../lib/alarms/run.ts'
import { processTerminal } from '../lib/cli/terminal.ts'

process.exitCode = runAlarms(process.argv.slice(2), { terminal: processTerminal() })
