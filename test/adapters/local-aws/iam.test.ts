import { describe, expect, test } from 'vitest'
import { compilePolicies, decide, type PolicyStatement } from '../../../lib/local/aws/iam.ts'
import type { ConditionBlock, RequestContext } from '../../../lib/local/aws/iam-conditions.ts'

const TABLE = 'arn:aws:dynamodb:eu-west-1:111111111111:table/things'
const KEY = 'arn:aws:kms:eu-west-1:111111111111:key/1'
/** A policy variable, in two pieces so that nobody takes it for a template string. */
const VARIABLE = ['$', '{aws:username}'].join('')
const allow = (more: Partial<PolicyStatement>): PolicyStatement => ({
  Effect: 'Allow',
  Action: 'dynamodb:PutItem',
  Resource: TABLE,
  ...more,
})

function verdict(statements: readonly PolicyStatement[], action: string, resource = TABLE, context = {}) {
  const decision = decide(compilePolicies([{ Statement: statements }]), { action, resource, context })
  return decision.kind === 'allowed' ? 'allowed' : decision.reason
}

describe('actions and resources', () => {
  test.each([
    ['the action named', {}, 'dynamodb:PutItem', TABLE, 'allowed'],
    ['an action in other case', {}, 'dynamodb:putitem', TABLE, 'allowed'],
    ['another action', {}, 'dynamodb:GetItem', TABLE, 'no_allow'],
    ['another resource', {}, 'dynamodb:PutItem', `${TABLE}2`, 'no_allow'],
    ['a resource in other case', {}, 'dynamodb:PutItem', TABLE.replace('things', 'Things'), 'no_allow'],
    ['an action by wildcard', { Action: 'dynamodb:Put*' }, 'dynamodb:PutItem', TABLE, 'allowed'],
    [
      'an action by wildcard of one character',
      { Action: 'dynamodb:?utItem' },
      'dynamodb:PutItem',
      TABLE,
      'allowed',
    ],
    ['any action', { Action: '*' }, 'kms:Sign', TABLE, 'allowed'],
    [
      'one action of a list',
      { Action: ['kms:Sign', 'dynamodb:PutItem'] },
      'dynamodb:PutItem',
      TABLE,
      'allowed',
    ],
    [
      'a resource by wildcard',
      { Resource: `${TABLE}/index/*` },
      'dynamodb:PutItem',
      `${TABLE}/index/x`,
      'allowed',
    ],
    ['any resource', { Resource: '*' }, 'dynamodb:PutItem', TABLE, 'allowed'],
    ['an ARN that ends early', { Resource: 'arn:aws:dynamodb' }, 'dynamodb:PutItem', TABLE, 'allowed'],
    [
      'a wildcard that would cross a colon',
      { Resource: 'arn:aws:dynamodb:*:table/things' },
      'dynamodb:PutItem',
      TABLE,
      'no_allow',
    ],
    [
      'an ARN pattern for a call without resource',
      { Action: 'kms:CreateKey', Resource: 'arn:aws:kms:*:*:key/*' },
      'kms:CreateKey',
      '*',
      'no_allow',
    ],
    [
      'a dot in a pattern',
      { Resource: TABLE.replace('things', 'th.ngs') },
      'dynamodb:PutItem',
      TABLE,
      'no_allow',
    ],
  ] satisfies [string, Partial<PolicyStatement>, string, string, string][])(
    '%s',
    (_, statement, action, resource, expected) => {
      expect(verdict([allow(statement)], action, resource)).toBe(expected)
    },
  )

  test('NotAction allows everything but what it names', () => {
    const statement = { Effect: 'Allow', NotAction: ['dynamodb:Delete*', 'kms:*'], Resource: '*' }
    expect(verdict([statement], 'dynamodb:PutItem')).toBe('allowed')
    expect(verdict([statement], 'dynamodb:DeleteItem')).toBe('no_allow')
  })

  test('NotResource allows everything but what it names', () => {
    const statement = { Effect: 'Allow', Action: 'dynamodb:PutItem', NotResource: [`${TABLE}`] }
    expect(verdict([statement], 'dynamodb:PutItem', `${TABLE}2`)).toBe('allowed')
    expect(verdict([statement], 'dynamodb:PutItem')).toBe('no_allow')
  })

  test('an explicit deny wins over every allow', () => {
    const deny = { Effect: 'Deny', Action: 'dynamodb:*', Resource: TABLE }
    expect(verdict([allow({}), deny], 'dynamodb:PutItem')).toBe('explicit_deny')
    expect(verdict([deny, allow({})], 'dynamodb:PutItem')).toBe('explicit_deny')
  })

  test('without a statement everything is denied', () => {
    expect(verdict([], 'dynamodb:PutItem')).toBe('no_allow')
  })
})

describe('conditions', () => {
  const holds = (Condition: ConditionBlock, context: RequestContext) =>
    verdict([allow({ Condition })], 'dynamodb:PutItem', TABLE, context) === 'allowed'

  test.each([
    [{ StringEquals: { k: 'a' } }, { k: 'a' }, true],
    [{ StringEquals: { k: ['a', 'b'] } }, { k: 'b' }, true],
    [{ StringEquals: { k: 'a' } }, { k: 'A' }, false],
    [{ StringEquals: { k: 'a' } }, {}, false],
    [{ StringEquals: { 'KMS:Thing': 'a' } }, { 'kms:thing': 'a' }, true],
    [{ StringEquals: { k: '*' } }, { k: 'a' }, false],
    [{ StringNotEquals: { k: ['a', 'b'] } }, { k: 'c' }, true],
    [{ StringNotEquals: { k: ['a', 'b'] } }, { k: 'b' }, false],
    [{ StringNotEquals: { k: 'a' } }, {}, true],
    [{ StringLike: { k: 'team-*' } }, { k: 'team-a' }, true],
    [{ StringLike: { k: 'team-?' } }, { k: 'team-ab' }, false],
    [{ StringNotLike: { k: 'team-*' } }, { k: 'team-a' }, false],
    [{ StringEqualsIfExists: { k: 'a' } }, {}, true],
    [{ StringEqualsIfExists: { k: 'a' } }, { k: 'b' }, false],
    [{ ArnEquals: { k: 'arn:aws:iam::1:role/*' } }, { k: 'arn:aws:iam::1:role/x' }, true],
    [{ ArnLike: { k: 'arn:aws:iam::*:role/x' } }, { k: 'arn:aws:iam::1:role/x' }, true],
    [{ ArnLike: { k: 'arn:aws:*:role/x' } }, { k: 'arn:aws:iam::1:role/x' }, false],
    [{ ArnNotLike: { k: 'arn:aws:iam::*:role/x' } }, { k: 'arn:aws:iam::1:role/x' }, false],
    [{ Bool: { k: 'true' } }, { k: 'true' }, true],
    [{ Bool: { k: true } }, { k: 'false' }, false],
    [{ Null: { k: 'true' } }, {}, true],
    [{ Null: { k: true } }, { k: 'a' }, false],
    [{ Null: { k: 'false' } }, { k: 'a' }, true],
    [{ NumericEquals: { k: '7' } }, { k: '7.0' }, true],
    [{ NumericLessThan: { k: '7' } }, { k: '7' }, false],
    [{ NumericLessThanEquals: { k: 7 } }, { k: '7' }, true],
    [{ NumericGreaterThan: { k: '7' } }, { k: '10' }, true],
    [{ NumericGreaterThanEquals: { k: '30' } }, { k: '7' }, false],
    [{ NumericGreaterThanEquals: { k: '7' } }, {}, false],
    [{ NumericNotEquals: { k: '7' } }, { k: '8' }, true],
    [{ StringEqualsIgnoreCase: { k: 'Main' } }, { k: 'main' }, true],
    [{ StringNotEqualsIgnoreCase: { k: 'Main' } }, { k: 'main' }, false],
    [{ DateEquals: { k: '2026-11-28T00:00:00Z' } }, { k: '2026-11-28T01:00:00+01:00' }, true],
    [{ DateNotEquals: { k: '2026-11-28' } }, { k: '2026-11-28T00:00:00Z' }, false],
    [{ DateLessThan: { k: '2026-11-28T12:00:00Z' } }, { k: '2026-11-28T11:59:59.999Z' }, true],
    [{ DateLessThan: { k: '2026-11-28T12:00:00Z' } }, { k: '2026-11-28T12:00:00Z' }, false],
    [{ DateLessThanEquals: { k: '1795867200' } }, { k: '2026-11-28T12:00:00Z' }, true],
    [{ DateGreaterThan: { k: '2026-11-28T12:00:00Z' } }, { k: '2026-11-28T12:00:01Z' }, true],
    [{ DateGreaterThanEquals: { k: '2026-11-28T12:00:00Z' } }, {}, false],
    [{ 'ForAllValues:StringEquals': { k: ['a', 'b'] } }, { k: ['a', 'b'] }, true],
    [{ 'ForAllValues:StringEquals': { k: ['a'] } }, { k: ['a', 'b'] }, false],
    [{ 'ForAllValues:StringEquals': { k: ['a'] } }, {}, true],
    [{ 'ForAllValues:StringLike': { k: 'a*' } }, { k: ['a1', 'b1'] }, false],
    [{ 'ForAnyValue:StringEquals': { k: ['a'] } }, { k: ['a', 'b'] }, true],
    [{ 'ForAnyValue:StringEquals': { k: ['c'] } }, { k: ['a', 'b'] }, false],
    [{ 'ForAnyValue:StringLike': { k: 'b*' } }, { k: ['a1', 'b1'] }, true],
    [{ 'ForAnyValue:StringEquals': { k: ['a'] } }, {}, false],
    [{ StringEquals: { k: 'a', l: 'b' } }, { k: 'a', l: 'c' }, false],
    [{ StringEquals: { k: 'a' }, Bool: { l: 'true' } }, { k: 'a', l: 'false' }, false],
  ] satisfies [ConditionBlock, RequestContext, boolean][])(
    '%j with %j: %s',
    (condition, context, expected) => {
      expect(holds(condition, context)).toBe(expected)
    },
  )
})

describe('what is not understood is a defect, never ignored', () => {
  test.each([
    ['unknown condition operator', allow({ Condition: { IpAddress: { k: '192.0.2.0/24' } } })],
    ['unknown condition operator', allow({ Condition: { 'ForSomeValues:StringEquals': { k: 'a' } } })],
    ['unknown condition operator', allow({ Condition: { NullIfExists: { k: 'true' } } })],
    ['unknown Effect', allow({ Effect: 'allow' })],
    ['unknown statement element', { ...allow({}), Principal: '*' }],
    ['policy variables', allow({ Resource: `arn:aws:s3:::b/${VARIABLE}` })],
    ['policy variables', allow({ Condition: { StringEquals: { k: VARIABLE } } })],
    ['either Action or NotAction', { Effect: 'Allow', Resource: '*' }],
    ['either Resource or NotResource', { Effect: 'Allow', Action: '*' }],
    ['either Action or NotAction', allow({ NotAction: 'kms:*' })],
    ['Action is empty', allow({ Action: [] })],
    ['not resolved', JSON.parse('{"Effect":"Allow","Action":"*","Resource":{"Ref":"Table"}}')],
    [
      'not resolved',
      JSON.parse(
        '{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"k":{"Ref":"A"}}}}',
      ),
    ],
    ['not a date', allow({ Condition: { DateLessThan: { k: 'tomorrow' } } })],
    ['not a number', allow({ Condition: { NumericEquals: { k: 'seven' } } })],
    ['Null takes true or false', allow({ Condition: { Null: { k: 'maybe' } } })],
  ])('%s', (message, statement) => {
    expect(() => compilePolicies([{ Statement: statement }])).toThrow(message)
  })
})

test('a permission that was needed is named as the statement has it', () => {
  const policies = compilePolicies([
    { Statement: { Effect: 'Allow', Action: ['kms:*', 'kms:Verify'], Resource: ['*', `${KEY}2`] } },
  ])
  expect(decide(policies, { action: 'kms:Sign', resource: KEY, context: {} })).toEqual({
    kind: 'allowed',
    by: [{ action: 'kms:*', resource: '*' }],
  })
})
