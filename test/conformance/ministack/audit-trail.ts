import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { PROJECT } from '../install.ts'
import { run } from '../processes.ts'

const WAIT_MILLISECONDS = 60_000
const POLL_MILLISECONDS = 2000

/** MiniStack's CloudFormation makes buckets without their Object Lock: every object is found to have none, rightly. */
const NOT_LOCKED = 'object_unlocked'

/** What `audit verify` prints, as far as it is looked at. */
interface Verification {
  readonly records: number
  readonly checkpoints: number
  readonly findings: readonly { readonly problem: string }[]
}

/** Where the command line finds the deployment. */
export interface AuditedDeployment {
  /** Variables that lead AWS clients to it. */
  readonly environment: Readonly<Record<string, string>>
  /** Records that must arrive in the trail. */
  readonly records: number
  /** Has a checkpoint signed, as the schedule does every few minutes. */
  sign(): Promise<unknown>
}

/**
 * Waits until the trail has at least so many records, signs a checkpoint, and has the operator's own command verify it all.
 * Returns the problems.
 */
export async function auditTrailProblems(deployment: AuditedDeployment): Promise<readonly string[]> {
  const deadline = Date.now() + WAIT_MILLISECONDS
  const isComplete = ({ records }: Verification) => records >= deployment.records
  let found = await verify(deployment)
  while (!isComplete(found) && Date.now() < deadline) {
    await sleep(POLL_MILLISECONDS)
    found = await verify(deployment)
  }
  if (!isComplete(found)) return [`the trail has ${found.records} of ${deployment.records} records`]
  await deployment.sign()
  const { checkpoints, findings } = await verify(deployment)
  const others = findings.filter(({ problem }) => problem !== NOT_LOCKED)
  if (others.length === findings.length) return ['MiniStack now locks objects: nothing need be left out here']
  if (others.length === 0 && checkpoints > 0) return []
  return [
    `the trail with ${checkpoints} checkpoints does not verify: ${JSON.stringify(others).slice(0, 600)}`,
  ]
}

async function verify({ environment }: AuditedDeployment): Promise<Verification> {
  const command = join(PROJECT, 'bin', 'token-broker.mjs')
  const { stdout, stderr } = await run(process.execPath, [command, 'audit', 'verify', '--json'], {
    cwd: PROJECT,
    environment,
  })
  if (!stdout.startsWith('{')) throw new Error(`audit verify printed no result: ${stderr.slice(-600)}`)
  return JSON.parse(stdout) as Verification
}
