import { readFileSync } from 'node:fs'
import { ListTablesCommand } from '@aws-sdk/client-dynamodb'
import { AssumeRoleCommand } from '@aws-sdk/client-sts'
import { describe, expect, it } from 'vitest'
import { clientsOf, failureOf, type Rig, startRig } from '../adapters/local-aws/support.ts'

const ROLE = 'arn:aws:iam::222222222222:role/payments-deploy'
const [, SECTION = ''] = readFileSync('docs/runbooks/revocation.md', 'utf8').split('## Credentials of AWS')
/** What the runbook denies, and by which condition. */
const DENIALS = [...SECTION.matchAll(/^\| (.+) \| `(\w+): (\{.+\})` \|$/gm)].map(
  ([, what = '', operator = '', keys = '{}']) => ({ what, Condition: { [operator]: JSON.parse(keys) } }),
)

/** The role's policies, as they are from now on. */
function setPolicies({ endpoint }: Rig, ...more: readonly object[]): void {
  const allowed = { Effect: 'Allow', Action: '*', Resource: '*' } as const
  const policies = [{ Statement: [allowed, ...more] }] as never
  endpoint.registerPrincipal('AKIAROLE', { name: 'role', roleArn: ROLE, policies })
}

async function sessionOf(rig: Rig, repository: string, SourceIdentity: string) {
  const Tags = [{ Key: 'repository', Value: repository }]
  const asked = { RoleArn: ROLE, RoleSessionName: 'ci', Tags, SourceIdentity }
  const { Credentials } = await rig.sts.send(new AssumeRoleCommand(asked))
  const { AccessKeyId = '', SecretAccessKey = '', SessionToken = '' } = Credentials ?? {}
  const given = { secretAccessKey: SecretAccessKey, sessionToken: SessionToken }
  const { dynamodb } = clientsOf(rig.endpoint, AccessKeyId, given)
  return () => dynamodb.send(new ListTablesCommand({}))
}

describe('credentials that are out, and must end', () => {
  it('K10 has a condition for each way', () => expect(DENIALS).toHaveLength(3))

  it.each(DENIALS)('K10 credentials that are used although the role denies $what', async ({ Condition }) => {
    let now = Date.parse('2026-11-28T11:59:59Z')
    const rig = await startRig({ clock: () => now })
    setPolicies(rig)
    const denied = await sessionOf(rig, 'octo-org/payments', 'octocat')
    now += 1000
    const spared = await sessionOf(rig, 'octo-org/other', 'hubot')
    await denied()
    setPolicies(rig, { Effect: 'Deny', Action: '*', Resource: '*', Condition })
    expect(await failureOf(denied())).toHaveProperty('name', 'AccessDeniedException')
    await spared()
  })
})
