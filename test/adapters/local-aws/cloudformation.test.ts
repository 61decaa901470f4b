import {
  CloudFormationClient,
  DescribeStacksCommand,
  ListStacksCommand,
} from '@aws-sdk/client-cloudformation'
import { describe, expect, test } from 'vitest'
import { OPERATOR_KEY, REGION, type Rig, startRig } from './support.ts'

const NOW = Date.UTC(2026, 10, 22)
const STACK = {
  name: 'app',
  id: 'arn:aws:cloudformation:eu-west-1:111111111111:stack/app/1',
  description: 'an <app>',
  outputs: [
    { key: 'Url', value: 'https://a?b&c', description: 'where', exportName: undefined },
    { key: 'Table', value: 't', description: undefined, exportName: 'app:Table' },
  ],
}

function clientOf({ endpoint }: Rig, accessKeyId = OPERATOR_KEY) {
  const credentials = { accessKeyId, secretAccessKey: 'secret' }
  return new CloudFormationClient({ region: REGION, endpoint: endpoint.url, maxAttempts: 1, credentials })
}

const describeApp = new DescribeStacksCommand({ StackName: 'app' })

describe('DescribeStacks', () => {
  test('tells the outputs of a stack, by name and by id', async () => {
    const rig = await startRig({ clock: () => NOW })
    rig.endpoint.cloudformation.add(STACK)
    for (const StackName of [STACK.name, STACK.id, undefined]) {
      const { Stacks } = await clientOf(rig).send(new DescribeStacksCommand({ StackName }))
      expect(Stacks).toEqual([
        expect.objectContaining({
          StackName: 'app',
          StackStatus: 'CREATE_COMPLETE',
          Description: 'an <app>',
          CreationTime: new Date(NOW),
          Outputs: [
            { OutputKey: 'Url', OutputValue: 'https://a?b&c', Description: 'where' },
            { OutputKey: 'Table', OutputValue: 't', ExportName: 'app:Table' },
          ],
        }),
      ])
    }
  })

  test('says which stack does not exist, as AWS does', async () => {
    const rig = await startRig()
    await expect(clientOf(rig).send(describeApp)).rejects.toMatchObject({
      name: 'ValidationError',
      message: 'Stack with id app does not exist',
    })
  })

  test('is refused to whoever is not allowed it on that stack', async () => {
    const rig = await startRig()
    rig.endpoint.cloudformation.add(STACK)
    const Resource = 'arn:aws:cloudformation:eu-west-1:111111111111:stack/other/*'
    rig.endpoint.registerPrincipal('AKIAREADER', {
      name: 'reader',
      roleArn: 'arn:aws:iam::111111111111:role/reader',
      policies: [
        {
          Version: '2012-10-17',
          Statement: [{ Effect: 'Allow', Action: 'cloudformation:DescribeStacks', Resource }],
        },
      ],
    })
    await expect(clientOf(rig, 'AKIAREADER').send(describeApp)).rejects.toMatchObject({
      name: 'AccessDenied',
    })
    expect(rig.defects).toMatchObject([{ kind: 'permission', action: 'cloudformation:DescribeStacks' }])
  })
})

test('another operation of CloudFormation is not there', async () => {
  const rig = await startRig()
  await expect(clientOf(rig).send(new ListStacksCommand({}))).rejects.toMatchObject({ name: 'InvalidAction' })
})
