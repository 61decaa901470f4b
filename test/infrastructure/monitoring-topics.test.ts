import { describe, expect, it } from 'vitest'
import { readable, resources, synthesize } from './synthesize.ts'

const pageSubscribers = ['on-call@example.com', 'arn:aws:sqs:eu-west-1:111122223333:pages']
const ticketSubscribers = ['arn:aws:lambda:eu-west-1:111122223333:function:ticket']
const { monitoring } = synthesize({ monitoring: { pageSubscribers, ticketSubscribers } })

const propertiesOf = (type: string) =>
  Object.values(resources(monitoring, type)).map(
    ({ Properties }) => readable(Properties) as Record<string, unknown>,
  )

interface Statement {
  readonly Effect: string
  readonly Action: string | readonly string[]
  readonly Principal: unknown
  readonly Condition?: unknown
}

const OUR_ALARMS = {
  StringEquals: { 'aws:SourceAccount': '<AWS::AccountId>' },
  ArnLike: {
    'aws:SourceArn':
      'arn:<AWS::Partition>:cloudwatch:<AWS::Region>:<AWS::AccountId>:alarm:token-broker-dev-*',
  },
}
const CLOUDWATCH = { Service: 'cloudwatch.amazonaws.com' }

describe('the topics', () => {
  it('are told to whom the config says, and to nobody else', () => {
    const subscriptions = propertiesOf('AWS::SNS::Subscription')
    expect(subscriptions.map(({ TopicArn, Protocol, Endpoint }) => [TopicArn, Protocol, Endpoint])).toEqual([
      ['<TopicsPage>', 'email', pageSubscribers[0]],
      ['<TopicsPage>', 'sqs', pageSubscribers[1]],
      ['<TopicsTicket>', 'lambda', ticketSubscribers[0]],
    ])
    expect(resources(synthesize().monitoring, 'AWS::SNS::Subscription')).toEqual({})
  })

  it('are encrypted with a key that CloudWatch may use for alarms of this deployment alone', () => {
    for (const { KmsMasterKeyId } of propertiesOf('AWS::SNS::Topic'))
      expect(KmsMasterKeyId).toBe('<TopicsKey.Arn>')
    const [key] = propertiesOf('AWS::KMS::Key')
    const policy = key?.['KeyPolicy'] as { readonly Statement: readonly Statement[] } | undefined
    const forServices = policy?.Statement.filter(({ Principal }) => 'Service' in (Principal as object))
    expect(forServices).toMatchObject([
      {
        Effect: 'Allow',
        Principal: CLOUDWATCH,
        Action: ['kms:Decrypt', 'kms:GenerateDataKey*'],
        Condition: OUR_ALARMS,
      },
    ])
  })

  it('take messages by TLS alone, and from alarms of this deployment alone', () => {
    const policies = propertiesOf('AWS::SNS::TopicPolicy')
    expect(policies).toHaveLength(2)
    for (const { PolicyDocument } of policies)
      expect(PolicyDocument).toMatchObject({
        Statement: [
          { Effect: 'Deny', Action: 'sns:Publish', Condition: { Bool: { 'aws:SecureTransport': 'false' } } },
          { Effect: 'Allow', Action: 'sns:Publish', Principal: CLOUDWATCH, Condition: OUR_ALARMS },
        ],
      })
  })
})
