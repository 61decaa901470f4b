import { join } from 'node:path'
import { startAwsEndpoint } from '../../../lib/local/aws/endpoint.ts'
import { ACCESS_KEY, ACCOUNT, callJson, callS3, REGION } from '../aws-wire.ts'
import { type Compared, notesOn, summaryOf, unexplained } from '../differential.ts'
import { pythonEnvironment } from '../install.ts'
import { type Leg, type LegContext, type LegOutcome, outcomeOf } from '../leg.ts'
import { DIFFERENCES } from '../moto/differences.ts'
import type { Side } from '../moto/outcome.ts'
import { outcomesAt } from '../moto/requests.ts'
import { freePort, startServer } from '../processes.ts'

const BUCKET = 'trail'
const QUEUE = 'failed-batches'
const NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
const LOCATION = `<CreateBucketConfiguration ${NAMESPACE}><LocationConstraint>${REGION}</LocationConstraint></CreateBucketConfiguration>`
const RULE = '<Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Days>1</Days></DefaultRetention></Rule>'
const DEFAULT_RETENTION = `<ObjectLockConfiguration ${NAMESPACE}><ObjectLockEnabled>Enabled</ObjectLockEnabled>${RULE}</ObjectLockConfiguration>`

export const moto: Leg = {
  name: 'moto',
  proves: 'a second implementation of KMS, STS, S3 and SQS answers our requests as the local endpoint does',
  run: compareWithMoto,
}

async function compareWithMoto(context: LegContext): Promise<LegOutcome> {
  const their = await prepareMoto(await startMoto(context))
  const our = await startOurs(context)
  context.say('the same requests to both endpoints')
  const [ours, theirs] = [await outcomesAt(our), await outcomesAt(their)]
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

async function prepareMoto(url: string): Promise<Side> {
  const made = await callS3(
    `${url}/${BUCKET}`,
    'PUT',
    { 'x-amz-bucket-object-lock-enabled': 'true' },
    LOCATION,
  )
  const locked = await callS3(`${url}/${BUCKET}?object-lock`, 'PUT', {}, DEFAULT_RETENTION)
  const queue = await callJson(url, 'sqs', 'CreateQueue', { QueueName: QUEUE })
  const codes = [made.code, locked.code, queue.code]
  if (codes.some((code) => code !== undefined)) throw new Error(`moto could not be prepared: ${codes.join()}`)
  return { url, bucket: BUCKET, queueUrl: String(queue.body['QueueUrl']) }
}

async function startOurs({ defer }: LegContext): Promise<Side> {
  const ours = await startAwsEndpoint({ region: REGION, account: ACCOUNT, onDefect: () => undefined })
  defer(() => ours.close())
  ours.registerPrincipal(ACCESS_KEY, { name: 'operator', policies: undefined })
  const objectLock = { mode: 'COMPLIANCE', days: 1 } as const
  await ours.s3.createBucket({ name: BUCKET, objectLock, denied: [] })
  ours.sqs.createQueue(QUEUE)
  return { url: ours.url, bucket: BUCKET, queueUrl: `${ours.url}/${ACCOUNT}/${QUEUE}` }
}
