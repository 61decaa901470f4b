import { readFile } from 'node:fs/promises'
import { GetPublicKeyCommand } from '@aws-sdk/client-kms'
import { AuditSource } from './audit-source.ts'
import { type AuditReport, verifyAudit } from './audit-verification.ts'
import {
  type Command,
  type CommandContext,
  CommandFailed,
  DEPLOYMENT_OPTIONS,
  type ExitCode,
  UsageError,
} from './command.ts'
import type { Deployment } from './deployment.ts'
import { type Terminal, withProgress } from './terminal.ts'
import { timeOf } from './times.ts'

/** More findings than this are counted, and shown by `--json`. */
const MOST_SHOWN = 50

export const auditVerify: Command = {
  path: ['audit', 'verify'],
  summary: 'prove that nothing in the audit trail was edited, dropped, added or reordered',
  details:
    'Reads every object of the trail, checks the chain of digests and the signed checkpoints, and compares the trail with ' +
    'the records that the exchanges table holds (48 hours). Exit code 1 if anything is wrong; each line says what, and where.',
  example: 'npx token-broker audit verify --stage prod',
  options: {
    ...DEPLOYMENT_OPTIONS,
    since: {
      type: 'string',
      value: 'NUMBER',
      description: 'start at this object of the chain, and take what is before it on trust',
    },
    'public-key': {
      type: 'string',
      value: 'FILE',
      description: 'the checkpoint key in PEM, kept by the auditor, instead of what KMS says it is',
    },
  },
  run: async (context) => {
    const since = sinceIn(context)
    const deployment = await context.deployment()
    const report = await verifyDeployed(deployment, context, since)
    if (context.flag('json')) context.terminal.out(JSON.stringify(reportJson(report), null, 2))
    else print(context.terminal, report)
    return exitCodeOf(report)
  },
}

function exitCodeOf({ findings }: AuditReport): ExitCode {
  return findings.length === 0 ? 0 : 1
}

function sinceIn({ text }: CommandContext): number {
  const since = text('since') ?? '1'
  if (!/^[1-9]\d{0,11}$/.test(since))
    throw new UsageError(`--since ${since}: allowed is the number of an object, from 1`)
  return Number(since)
}

/** Verifies the trail of a deployment from object `since` on, with progress on the terminal. */
export async function verifyDeployed(
  deployment: Deployment,
  context: CommandContext,
  since = 1,
): Promise<AuditReport> {
  const { terminal, text, now } = context
  const source = new AuditSource(deployment)
  let read = 0
  try {
    const publicKey = await publicKeyOf(deployment, text('public-key'))
    // Before the objects: what is written meanwhile is found beyond it, and is no gap.
    const hints = await source.hints()
    const work = verifyAudit(
      // From an object on, records before it are not read: the table cannot be compared.
      { objects: source.objects(since), hints, ...(since === 1 && { recorded: source.recorded() }) },
      { publicKey, since, now: now(), onObject: (count) => (read = count) },
    )
    return await withProgress(terminal, () => `${read} objects read`, work)
  } finally {
    source.close()
  }
}

async function publicKeyOf(
  { kms, output }: Deployment,
  file: string | undefined,
): Promise<Uint8Array | string> {
  if (file !== undefined) {
    return readFile(file, 'utf8').catch((cause: unknown) => {
      throw new CommandFailed(`cannot read ${file}`, 'give the path of a public key in PEM', { cause })
    })
  }
  const { PublicKey } = await kms.send(new GetPublicKeyCommand({ KeyId: output('AuditKey') }))
  if (PublicKey === undefined)
    throw new CommandFailed('KMS answered without a public key', 'run the command again')
  return PublicKey
}

function reportJson(report: AuditReport): object {
  const { findings, objects, records, events, duplicates, checkpoints, signedUntil, compared } = report
  return {
    verified: findings.length === 0,
    objects,
    records,
    events,
    duplicates,
    checkpoints,
    signed_until: signedUntil,
    table_records_compared: compared,
    findings,
  }
}

function print(terminal: Terminal, report: AuditReport): void {
  const { findings, objects, records, duplicates, checkpoints, signedUntil, compared } = report
  for (const { problem, where, detail } of findings.slice(0, MOST_SHOWN))
    terminal.out(`${terminal.style('red', problem)} ${where}: ${detail}`)
  if (findings.length > MOST_SHOWN) terminal.out(`and ${findings.length - MOST_SHOWN} more: see --json`)
  terminal.out(
    `${objects} objects with ${records} records (${duplicates} of them delivered again), ${checkpoints} checkpoints; ` +
      `${compared} records of the table compared.`,
  )
  terminal.out(
    signedUntil === undefined
      ? terminal.style(
          'yellow',
          'No checkpoint is signed yet: the first one comes within 5 minutes of the first record.',
        )
      : `Signed until ${timeOf(signedUntil)}; what came later is proven by the chain alone.`,
  )
  terminal.out(
    findings.length === 0
      ? terminal.style('green', 'Nothing was edited, dropped, added or reordered.')
      : terminal.style(
          'red',
          `${findings.length} findings: the trail is not what was written. See docs/runbooks/audit.md.`,
        ),
  )
}
