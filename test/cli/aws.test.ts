import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { runCli } from '../../lib/cli/run.ts'
import { accountsOf, parseTemplate } from '../../lib/local/account-templates.ts'
import { MemoryTerminal } from './memory-terminal.ts'

const FOLDER = mkdtempSync(join(tmpdir(), 'aws-cli-'))
afterAll(() => rmSync(FOLDER, { recursive: true }))

function file(name: string, text: string): string {
  const path = join(FOLDER, name)
  writeFileSync(path, text)
  return path
}

file(
  'policy.yaml',
  `issuers:
  github: {preset: github-actions, audiences: [https://broker.example.com], max_lifetime: 10m}
targets:
  deploy-prod:
    aws_role: arn:aws:iam::111122223333:role/team/deploy
    duration: 1h
    session_tags: {repository: "{repository}", environment: "on"}
    source_identity: "{actor}"
  own:
    aws_role: arn:aws:iam::111122223333:role/own
    assume: role
    external_id: tenant-7
  payments: {audience: https://payments.example.com}
grants:
  ci: {issuer: github, when: {repository_id: "123456"}, target: deploy-prod}
`,
)

async function run(...args: readonly string[]) {
  const terminal = new MemoryTerminal()
  const code = await runCli(['aws', ...args], { terminal, now: () => 1_800_000_000 })
  return { code, out: terminal.outText, err: terminal.errText }
}

const ISSUER = ['--issuer', 'https://tokens.example.com']
const about = (target: string) => [target, '--policy', FOLDER, ...ISSUER]

describe('aws setup', () => {
  it('prints a template on its own, and says what to do with it', async () => {
    const { code, out, err } = await run('setup', ...about('deploy-prod'))
    expect(code).toBe(0)
    const template = parseTemplate('printed', out)
    const accounts = accountsOf([{ name: 'printed', account: '111122223333', template }], 'eu-west-1')
    expect(accounts.roles.map(({ arn }) => arn)).toEqual(['arn:aws:iam::111122223333:role/team/deploy'])
    // CloudFormation reads YAML 1.1, in which these would be a date and a boolean.
    expect(out).toContain('Version: "2012-10-17"')
    expect(out).toContain('aws:RequestTag/environment: "on"')
    expect(err).toContain('aws cloudformation deploy')
    expect(err).toContain(`npx token-broker aws lint deploy-prod --policy ${FOLDER} --trust-policy role.json`)
  })

  it('prints JSON for machines, and nothing else', async () => {
    const { out, err } = await run('setup', ...about('deploy-prod'), '--json')
    expect(JSON.parse(out)).toMatchObject({ Metadata: { TokenBroker: { Account: '111122223333' } } })
    expect(err).toBe('')
  })

  it('prints lines for a CDK stack, with or without the provider', async () => {
    const { out } = await run('setup', ...about('deploy-prod'), '--format', 'cdk')
    expect(out).toContain("new BrokeredRole(this, 'DeployProd', {")
    expect(out).not.toContain('provider:')
    const imported = await run('setup', ...about('deploy-prod'), '--format', 'cdk', '--existing-provider')
    expect(imported.out).toContain('arn:aws:iam::111122223333:oidc-provider/tokens.example.com')
    expect((await run('setup', ...about('deploy-prod'), '--existing-provider')).out).not.toContain(
      'OIDCProvider',
    )
  })

  it('trusts the broker’s own role where the target says so', async () => {
    const role = 'arn:aws:iam::999999999999:role/broker'
    const { out } = await run('setup', 'own', '--policy', FOLDER, '--broker-role', role)
    expect(out).toContain(`AWS: ${role}`)
    expect(out).toContain('sts:ExternalId: tenant-7')
    expect(out).not.toContain('OIDCProvider')
  })

  it.each([
    ['a target that is no role', ['setup', ...about('payments')], 1, 'those with aws_role: deploy-prod, own'],
    ['no target', ['setup', '--policy', FOLDER, ...ISSUER], 2, 'name one target'],
    ['two targets', ['setup', ...about('own'), 'deploy-prod'], 2, 'name one target'],
    ['another format', ['setup', ...about('deploy-prod'), '--format', 'hcl'], 2, 'cloudformation or cdk'],
  ])('refuses %s', async (_, args, code, message) => {
    const run_ = await run(...args)
    expect(run_).toMatchObject({ code, out: '' })
    expect(run_.err).toContain(message)
  })
})

describe('aws lint', () => {
  const printed = async () =>
    JSON.parse((await run('setup', ...about('deploy-prod'), '--json', '--existing-provider')).out).Resources
      .Role.Properties.AssumeRolePolicyDocument
  const lint = (path: string, ...more: string[]) =>
    run('lint', ...about('deploy-prod'), '--trust-policy', path, ...more)

  it('has nothing against what setup prints, alone, as aws iam get-role prints it, or encoded', async () => {
    const AssumeRolePolicyDocument = await printed()
    const forms = [
      AssumeRolePolicyDocument,
      { Role: { AssumeRolePolicyDocument, MaxSessionDuration: 3600 } },
      { Role: { AssumeRolePolicyDocument: encodeURIComponent(JSON.stringify(AssumeRolePolicyDocument)) } },
    ]
    for (const form of forms) {
      const { code, out } = await lint(file('role.json', JSON.stringify(form)))
      expect({ code, out }).toEqual({
        code: 0,
        out: 'arn:aws:iam::111122223333:role/team/deploy: errors 0, warnings 0\n',
      })
    }
  })

  it('fails for an error, says what to write instead, and passes with a warning', async () => {
    const policy = await printed()
    delete policy.Statement[0].Condition.StringEquals['tokens.example.com:sub']
    const wide = await lint(file('wide.json', JSON.stringify(policy)))
    expect(wide.code).toBe(1)
    expect(wide.out).toContain('error other targets of the broker may take this role: its sub is not pinned')
    expect(wide.out).toContain(
      'instead {"Condition":{"StringEquals":{"tokens.example.com:sub":"target:deploy-prod"}}}',
    )
    const loose = await printed()
    delete loose.Statement[0].Condition.StringLike['sts:SourceIdentity']
    const asJson = await lint(file('loose.json', JSON.stringify(loose)), '--json')
    expect(asJson.code).toBe(0)
    expect(JSON.parse(asJson.out).findings).toMatchObject([{ severity: 'warning' }])
  })

  it('finds a role whose sessions are shorter than the target asks for', async () => {
    const role = { Role: { AssumeRolePolicyDocument: await printed(), MaxSessionDuration: 1800 } }
    const { code, out } = await lint(file('short.json', JSON.stringify(role)))
    expect(code).toBe(1)
    expect(out).toContain('asks for sessions of 3600 s, and the role gives 1800 s at most')
  })

  it.each([
    ['no file', [], 2, '--trust-policy is missing'],
    ['a file that is not there', ['--trust-policy', join(FOLDER, 'none.json')], 1, 'cannot be read'],
    ['a file that is not JSON', ['--trust-policy', join(FOLDER, 'policy.yaml')], 1, 'is not JSON'],
  ])('refuses %s', async (_, args, code, message) => {
    const run_ = await run('lint', ...about('deploy-prod'), ...args)
    expect(run_.code).toBe(code)
    expect(run_.err).toContain(message)
  })

  it('refuses JSON that is no trust policy', async () => {
    const { code, err } = await lint(file('other.json', '{"Role": {"Arn": "x"}}'))
    expect(code).toBe(1)
    expect(err).toContain('it has no Statement')
  })
})

describe('aws credentials', () => {
  const token = () => file('token', 'eyJ.subject.token\n')
  const GIVEN = {
    AccessKeyId: 'ASIA1',
    SecretAccessKey: 'secret',
    Token: 'session',
    Expiration: '2026-11-28T12:00:00Z',
  }

  async function answeredBy(
    status: number,
    body: unknown,
    use: (url: string, seen: string[]) => Promise<void>,
  ) {
    const seen: string[] = []
    const server = createServer((request, response) => {
      seen.push(`${request.url} ${request.headers.authorization}`)
      response
        .writeHead(status, { 'x-correlation-id': 'abc' })
        .end(typeof body === 'string' ? body : JSON.stringify(body))
    })
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen).finally(() =>
      server.close(),
    )
  }

  it('prints what a credential_process prints', async () => {
    await answeredBy(200, { ...GIVEN, RoleArn: 'more' }, async (url, seen) => {
      const { code, out, err } = await run(
        'credentials',
        'deploy-prod',
        '--url',
        url,
        '--token-file',
        token(),
      )
      const { Token: SessionToken, ...rest } = GIVEN
      expect({ code, err }).toEqual({ code: 0, err: '' })
      expect(JSON.parse(out)).toEqual({ Version: 1, ...rest, SessionToken })
      expect(seen).toEqual(['/aws/credentials/deploy-prod eyJ.subject.token'])
    })
  })

  it.each([
    [
      'a refusal',
      400,
      { code: 'invalid_request', message: 'the token is not acceptable' },
      'invalid_request: the token is not acceptable',
    ],
    ['an answer without all of it', 200, { ...GIVEN, Token: '' }, 'answers 200'],
    ['an answer that is not JSON', 502, '<html>', 'answers 502'],
  ])('fails on %s, with the correlation id and without the token', async (_, status, body, message) => {
    await answeredBy(status, body, async (url) => {
      const { code, out, err } = await run(
        'credentials',
        'deploy-prod',
        '--url',
        url,
        '--token-file',
        token(),
      )
      expect({ code, out }).toEqual({ code: 1, out: '' })
      expect(err).toContain(message)
      expect(err).toContain('correlation id abc')
      expect(err).not.toContain('eyJ')
    })
  })

  it.each([
    ['no token file', ['--url', 'https://a.example'], 2, '--token-file is missing'],
    ['a URL without TLS', ['--url', 'http://a.example', '--token-file', token()], 2, 'allowed is https'],
    [
      'a host that looks like this machine',
      ['--url', 'http://127.0.0.1:1@a.example', '--token-file', token()],
      2,
      'allowed is https',
    ],
    [
      'a file that is not there',
      ['--url', 'https://a.example', '--token-file', join(FOLDER, 'none')],
      1,
      'cannot be read',
    ],
    [
      'a file with two lines',
      ['--url', 'https://a.example', '--token-file', file('two', 'a\nb')],
      1,
      'does not hold one token',
    ],
    [
      'an address where nobody is',
      ['--url', 'http://127.0.0.1:1', '--token-file', token()],
      1,
      'does not answer',
    ],
  ])('refuses %s', async (_, args, code, message) => {
    const run_ = await run('credentials', 'deploy-prod', ...args)
    expect(run_).toMatchObject({ code, out: '' })
    expect(run_.err).toContain(message)
  })
})
