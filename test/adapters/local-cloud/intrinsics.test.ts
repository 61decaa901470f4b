// biome-ignore-all lint/suspicious/noTemplateCurlyInString: this is how CloudFormation writes them
import { describe, expect, it } from 'vitest'
import type { JsonValue } from '../../../lib/local/assembly.ts'
import { describeStacks, resolveStacks } from '../../../lib/local/resolved-stacks.ts'

const DEPLOYMENT = { account: '111111111111', region: 'eu-west-1', apiEndpoint: 'http://127.0.0.1:8080' }

function resolved(value: JsonValue): JsonValue | undefined {
  const template = {
    Parameters: { Stage: { Type: 'String', Default: 'dev' } },
    Conditions: {
      IsDev: { 'Fn::Equals': [{ Ref: 'Stage' }, 'dev'] },
      IsProd: { 'Fn::Not': [{ Condition: 'IsDev' }] },
      Both: { 'Fn::And': [{ Condition: 'IsDev' }, { Condition: 'IsProd' }] },
      Either: { 'Fn::Or': [{ Condition: 'IsDev' }, { Condition: 'IsProd' }] },
    },
    Resources: {
      Table: { Type: 'AWS::DynamoDB::Table', Properties: {} },
      Api: { Type: 'AWS::ApiGatewayV2::Api', Properties: { Name: 'api' } },
      Subject: { Type: 'AWS::Lambda::Permission', Properties: { value } },
    },
  }
  const stack = { name: 'stack', template, assets: new Map<string, string>() }
  return resolveStacks([OTHER, stack], DEPLOYMENT).find(({ logicalId }) => logicalId === 'Subject')
    ?.properties['value']
}

const OTHER = {
  name: 'other',
  template: {
    Resources: { Queue: { Type: 'AWS::SQS::Queue' } },
    Outputs: { Arn: { Value: { 'Fn::GetAtt': ['Queue', 'Arn'] }, Export: { Name: 'other:Arn' } } },
  },
  assets: new Map<string, string>(),
}

const QUEUE = 'arn:aws:sqs:eu-west-1:111111111111:other-Queue'

describe('intrinsic functions', () => {
  it.each<[string, JsonValue, JsonValue]>([
    ['Ref to a resource', { Ref: 'Table' }, 'stack-Table'],
    ['Ref to a parameter', { Ref: 'Stage' }, 'dev'],
    ['Ref to a pseudo parameter', { Ref: 'AWS::Region' }, 'eu-west-1'],
    [
      'Fn::GetAtt as a list',
      { 'Fn::GetAtt': ['Table', 'Arn'] },
      'arn:aws:dynamodb:eu-west-1:111111111111:table/stack-Table',
    ],
    ['Fn::GetAtt as text', { 'Fn::GetAtt': 'Table.TableId' }, 'stack-Table'],
    ['the endpoint of the API', { 'Fn::GetAtt': ['Api', 'ApiEndpoint'] }, 'http://127.0.0.1:8080'],
    ['Fn::Join', { 'Fn::Join': ['-', ['a', { Ref: 'AWS::AccountId' }, 1]] }, 'a-111111111111-1'],
    [
      'Fn::Sub',
      { 'Fn::Sub': 'x-${AWS::Region}-${Table}-${Table.TableId}-${!kept}' },
      'x-eu-west-1-stack-Table-stack-Table-${kept}',
    ],
    ['Fn::Sub with variables', { 'Fn::Sub': ['${a}/${Stage}', { a: { Ref: 'Table' } }] }, 'stack-Table/dev'],
    ['Fn::Select of Fn::Split', { 'Fn::Select': [1, { 'Fn::Split': ['|', 'a|b'] }] }, 'b'],
    ['Fn::ImportValue', { 'Fn::ImportValue': 'other:Arn' }, QUEUE],
    ['Fn::GetStackOutput', { 'Fn::GetStackOutput': { StackName: 'other', OutputName: 'Arn' } }, QUEUE],
    ['Fn::If', { 'Fn::If': ['IsDev', 'yes', 'no'] }, 'yes'],
    ['Fn::If of Fn::Not', { 'Fn::If': ['IsProd', 'yes', 'no'] }, 'no'],
    ['Fn::If of Fn::And', { 'Fn::If': ['Both', 'yes', 'no'] }, 'no'],
    ['Fn::If of Fn::Or', { 'Fn::If': ['Either', 'yes', 'no'] }, 'yes'],
    ['AWS::NoValue in an object', { a: { Ref: 'AWS::NoValue' }, b: 1 }, { b: 1 }],
    ['AWS::NoValue in a list', ['a', { 'Fn::If': ['IsProd', 'b', { Ref: 'AWS::NoValue' }] }], ['a']],
  ])('resolves %s', (_, value, expected) => {
    expect(resolved(value)).toEqual(expected)
  })

  it.each<[string, JsonValue, RegExp]>([
    [
      'a function that it does not know',
      { deep: { 'Fn::Base64': 'x' } },
      /stack\/Subject\.Properties\.value\.deep: Fn::Base64/,
    ],
    ['a resource that is not there', { Ref: 'Nobody' }, /stack\/Subject.*nothing named Nobody/],
    [
      'an attribute that is not there',
      { 'Fn::GetAtt': ['Table', 'Colour'] },
      /Table has no attribute Colour/,
    ],
    ['an export that is not there', { 'Fn::ImportValue': 'nobody' }, /no stack exports nobody/],
    [
      'an output that is not there',
      { 'Fn::GetStackOutput': { StackName: 'other', OutputName: 'X' } },
      /other has no output X/,
    ],
    ['a condition that is not there', { 'Fn::If': ['Never', 1, 2] }, /no condition Never/],
    ['an index outside the list', { 'Fn::Select': [2, ['a']] }, /Fn::Select/],
  ])('refuses %s by stack, resource and path', (_, value, message) => {
    expect(() => resolved(value)).toThrow(message)
  })

  it('resolves outputs', () => {
    const [stack] = describeStacks([OTHER], DEPLOYMENT)
    expect(stack).toMatchObject({ name: 'other', outputs: [{ key: 'Arn', value: QUEUE }] })
  })
})

describe('resources', () => {
  const stack = (Resources: Record<string, { Type: string; DependsOn?: string; Condition?: string }>) => ({
    name: 'stack',
    template: { Resources, Conditions: { Never: { 'Fn::Equals': ['a', 'b'] } } },
    assets: new Map<string, string>(),
  })

  it('refuses a resource type that it does not know, by name', () => {
    expect(() => resolveStacks([stack({ Boat: { Type: 'AWS::Sea::Boat' } })], DEPLOYMENT)).toThrow(
      'stack/Boat: the local cloud does not know the resource type AWS::Sea::Boat',
    )
  })

  it('come after what they depend on', () => {
    const stacks = [stack({ A: { Type: 'AWS::SQS::Queue', DependsOn: 'B' }, B: { Type: 'AWS::SQS::Queue' } })]
    expect(resolveStacks(stacks, DEPLOYMENT).map(({ logicalId }) => logicalId)).toEqual(['B', 'A'])
  })

  it('are refused when they depend on themselves', () => {
    const stacks = [stack({ A: { Type: 'AWS::SQS::Queue', DependsOn: 'A' } })]
    expect(() => resolveStacks(stacks, DEPLOYMENT)).toThrow('circular dependency: A → A')
  })

  it('are left out when their condition does not hold', () => {
    expect(
      resolveStacks([stack({ A: { Type: 'AWS::SQS::Queue', Condition: 'Never' } })], DEPLOYMENT),
    ).toEqual([])
  })
})
