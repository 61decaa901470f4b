import { join } from 'node:path'
import { startAwsEndpoint } from '../../../lib/local/aws/endpoint.ts'
import { ACCESS_KEY, ACCOUNT, REGION } from '../aws-wire.ts'
import { type Compared, notesOn, summaryOf, unexplained } from '../differential.ts'
import { pythonEnvironment } from '../install.ts'
import { type Leg, type LegContext, type LegOutcome, outcomeOf } from '../leg.ts'
import { DIFFERENCES } from '../moto/differences.ts'
import { outcomesAt } from '../moto/requests.ts'
import { freePort, startServer } from '../processes.ts'

export const moto: Leg = {
  name: 'moto',
  proves: 'a second implementation of KMS and STS answers our requests as the local endpoint does',
  run: compareWithMoto,
}

async function compareWithMoto(context: LegContext): Promise<LegOutcome> {
  const theirUrl = await startMoto(context)
  const ourUrl = await startOurs(context)
  context.say('the same requests to both endpoints')
  const [ours, theirs] = [await outcomesAt(ourUrl), await outcomesAt(theirUrl)]
  const compared = ours.map(
    ({ request, answer }, index): Compared => ({ request, ours: answer, theirs: theirs[index]?.answer }),
  )
  return outcomeOf(unexplained(compared, DIFFERENCES), summaryOf(compared, DIFFERENCES), notesOn(DIFFERENCES))
}

async function startMoto({ say, defer }: LegContext): Promise<string> {
  const bin = await pythonEnvironment('moto', ['moto[server]==5.2.5'])
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  say('starting moto')
  const server = await startServer(join(bin, 'moto_server'), ['-H', '127.0.0.1', '-p', String(port)], {
    url,
    environment: { MOTO_ACCOUNT_ID: ACCOUNT },
  })
  defer(server.close)
  return url
}

async function startOurs({ defer }: LegContext): Promise<string> {
  const ours = await startAwsEndpoint({ region: REGION, account: ACCOUNT, onDefect: () => undefined })
  defer(() => ours.close())
  ours.registerPrincipal(ACCESS_KEY, { name: 'operator', policies: undefined })
  return ours.url
}
