/** Exchanges with the built functions in the local cloud, all on the Node that runs this. Prints which one that is. */

import { synthesize } from '../../../lib/local/synthesize.ts'
import { EXCHANGES, startBroker } from '../broker.ts'

const synthesis = synthesize()
const closers: (() => unknown)[] = []
try {
  const broker = await startBroker({
    say: () => undefined,
    defer: (close) => void closers.push(close),
    synthesis: () => synthesis,
  })
  for (const { preset, audience } of EXCHANGES) await broker.accessToken(preset, audience)
} finally {
  for (const close of closers.reverse()) await close()
  synthesis.dispose()
}
process.stdout.write(`exchanged on ${process.version}\n`)
