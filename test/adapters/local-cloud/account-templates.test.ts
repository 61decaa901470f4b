import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { accountsOf, parseTemplate, readAccountTemplates } from '../../../lib/local/account-templates.ts'

const ACCOUNT = '111122223333'
const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

function folderWith(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'accounts-'))
  folders.push(folder)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return folder
}

const accountsIn = (text: string) =>
  accountsOf([{ name: 'a', account: ACCOUNT, template: parseTemplate('a', text) }], 'eu-west-1')

const TRUST = `AssumeRolePolicyDocument:
        Statement: {Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: sts:AssumeRole}`

describe('a folder of templates', () => {
  it('says by file name or by metadata which account a template is of', () => {
    const folder = folderWith({
      '111122223333-deploy.yaml': 'Resources: {}',
      'other.json': JSON.stringify({ Metadata: { TokenBroker: { Account: '444455556666' } }, Resources: {} }),
      'notes.txt': 'not a template',
    })
    expect(readAccountTemplates(folder).map(({ account }) => account)).toEqual([ACCOUNT, '444455556666'])
  })

  it.each([
    ['has no template', {}],
    ['its account is not known', { 'deploy.yaml': 'Resources: {}' }],
    ['its account is not known', { '1111222233334.yaml': 'Resources: {}' }],
    ['is not a CloudFormation template', { '111122223333.yaml': 'hello: world' }],
    ['is not a CloudFormation template', { '111122223333.yaml': '' }],
    ['111122223333.yaml: ', { '111122223333.yaml': 'a: b: c' }],
  ])('is refused where it %s', (message, files) => {
    expect(() => readAccountTemplates(folderWith(files as Record<string, string>))).toThrow(message)
  })
})

describe('the roles of a template', () => {
  it('have the ARN that AWS gives them, their policies and their longest session', () => {
    const accounts = accountsIn(`
Parameters:
  Bucket: {Type: String, Default: things}
Resources:
  Plain:
    Type: AWS::IAM::Role
    Properties:
      RoleName: plain
      ManagedPolicyArns: ['arn:aws:iam::aws:policy/ReadOnlyAccess', !Ref Own]
      ${TRUST}
  Pathed:
    Type: AWS::IAM::Role
    Properties:
      RoleName: !Sub 'pathed-\${AWS::Region}'
      Path: /team/
      MaxSessionDuration: 7200
      ${TRUST}
  Own:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      PolicyDocument:
        Statement:
          Effect: Allow
          Action: s3:GetObject
          Resource: !Join ['', [!GetAtt Things.Arn, '/*']]
  Things: {Type: AWS::S3::Bucket, Properties: {BucketName: !Ref Bucket, Tags: !FindInMap [A, B, C]}}
  Network: {Type: AWS::EC2::VPC, Properties: {CidrBlock: !Cidr [a, b]}}
`)
    expect(accounts.roles.map(({ arn, maxSessionSeconds }) => [arn, maxSessionSeconds])).toEqual([
      [`arn:aws:iam::${ACCOUNT}:role/plain`, 3600],
      [`arn:aws:iam::${ACCOUNT}:role/team/pathed-eu-west-1`, 7200],
    ])
    expect(accounts.role(`arn:aws:iam::${ACCOUNT}:role/plain`)?.policies).toEqual([
      { Statement: { Effect: 'Allow', Action: 's3:GetObject', Resource: 'arn:aws:s3:::things/*' } },
    ])
  })

  it('belong to one account: its providers are not those of another', () => {
    const provider =
      'Resources: {P: {Type: AWS::IAM::OIDCProvider, Properties: {Url: https://a.example/x, ClientIdList: [b]}}}'
    const accounts = accountsIn(provider)
    expect(accounts.provider(ACCOUNT, 'https://a.example/x')).toEqual({
      arn: `arn:aws:iam::${ACCOUNT}:oidc-provider/a.example/x`,
      issuer: 'https://a.example/x',
      clientIds: ['b'],
    })
    expect(accounts.provider('444455556666', 'https://a.example/x')).toBeUndefined()
    expect(accounts.provider(ACCOUNT, 'https://a.example')).toBeUndefined()
  })

  const role = (policy: string) =>
    `Resources: {R: {Type: AWS::IAM::Role, Properties: {AssumeRolePolicyDocument: ${policy}}}}`
  it.each([
    [
      'IAM takes https only',
      'Resources: {P: {Type: AWS::IAM::OIDCProvider, Properties: {Url: "http://a.example"}}}',
    ],
    ['needs a Principal', role('{Statement: {Effect: Allow, Action: sts:AssumeRole}}')],
    [
      'prohibited field Resource',
      role('{Statement: {Effect: Allow, Principal: "*", Action: "*", Resource: "*"}}'),
    ],
    [
      'unknown kind of principal',
      role('{Statement: {Effect: Allow, Principal: {CanonicalUser: a}, Action: "*"}}'),
    ],
    [
      'unknown statement element',
      role('{Statement: {Effect: Allow, NotPrincipal: "*", Principal: "*", Action: "*"}}'),
    ],
    [
      'unknown condition operator',
      role('{Statement: {Effect: Allow, Principal: "*", Action: "*", Condition: {Like: {a: b}}}}'),
    ],
    ['needs a Statement', role('{}')],
    ['not known', role('{Statement: {Effect: Allow, Principal: {AWS: !Nonsense x}, Action: "*"}}')],
  ])('are refused where %s', (message, text) => {
    expect(() => accountsIn(text)).toThrow(message)
  })
})
