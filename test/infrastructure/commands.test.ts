import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { projectContext } from '../../lib/project-context.ts'
import { synthesize, temporaryFolder } from './synthesize.ts'

const PROJECT = fileURLToPath(new URL('../..', import.meta.url))

function runApp(broker: Readonly<Record<string, unknown>>) {
  const outdir = temporaryFolder('out')
  const { status, stderr } = spawnSync(process.execPath, ['--import', 'tsx', 'bin/broker.ts'], {
    cwd: PROJECT,
    encoding: 'utf8',
    env: {
      ...process.env,
      CDK_OUTDIR: outdir,
      CDK_CONTEXT_JSON: JSON.stringify({ ...projectContext(), broker }),
    },
  })
  return { status, stderr, assembly: existsSync(join(outdir, 'manifest.json')) }
}

describe('the CDK app', () => {
  it('synthesizes the deployed policy', () => {
    expect(runApp({})).toEqual({ status: 0, stderr: '', assembly: true })
  })

  it('refuses a bad policy with file, line and column, without a stack trace and without an assembly', () => {
    const policyFolder = temporaryFolder('policy')
    writeFileSync(join(policyFolder, 'bad.yaml'), 'issuers:\n  github:\n    preste: github-actions\n')
    const { status, stderr, assembly } = runApp({ policyFolder })
    expect(stderr).toMatch(/bad\.yaml:3:5\b/)
    expect(stderr).not.toMatch(/^\s+at /m)
    expect({ status, assembly }).toEqual({ status: 1, assembly: false })
  })

  it('deploys a policy that trusts too much, but says where', () => {
    const policyFolder = temporaryFolder('wide')
    cpSync(join(PROJECT, 'policy'), policyFolder, { recursive: true })
    const grants = join(policyFolder, 'grants.yaml')
    const byName = readFileSync(grants, 'utf8').replace(
      'repository_id: "123456"',
      'repository: octo-org/payments',
    )
    writeFileSync(grants, byName)
    const { status, stderr, assembly } = runApp({ policyFolder })
    expect(stderr).toMatch(/^warning \S+grants\.yaml:\d+:\d+ grants\.payments-ci\.when\.repository: /m)
    expect({ status, assembly }).toEqual({ status: 0, assembly: true })
  })

  it('refuses a bad config, saying what is allowed, without a stack trace and without an assembly', () => {
    const { status, stderr, assembly } = runApp({ stage: 'Prod' })
    expect(stderr).toMatch(/^broker\.stage: found "Prod", allowed is [^\n]+\n$/)
    expect({ status, assembly }).toEqual({ status: 1, assembly: false })
  })
})

describe('the pinned CDK command', () => {
  it('is of major version 2: 3.0.0 on npm is an accidental publication of an old build', () => {
    const file = readFileSync(join(PROJECT, 'node_modules/aws-cdk/package.json'), 'utf8')
    expect((JSON.parse(file) as { readonly version: string }).version).toMatch(/^2\./)
  })

  it('reads the assemblies that the pinned library writes', () => {
    const { assembly } = synthesize()
    const arguments_ = [join(PROJECT, 'node_modules/aws-cdk/bin/cdk'), 'list', '--app', assembly.directory]
    const { status, stdout } = spawnSync(process.execPath, arguments_, {
      cwd: temporaryFolder('cwd'),
      encoding: 'utf8',
      env: { ...process.env, CI: 'true', CDK_DISABLE_VERSION_CHECK: '1' },
    })
    expect(status).toBe(0)
    expect(stdout.trim().split('\n')).toEqual([
      'token-broker-dev-state',
      'token-broker-dev-service',
      'token-broker-dev-monitoring',
    ])
  })

  it('has no feature flag left to ask about', () => {
    const file = readFileSync(
      join(PROJECT, 'node_modules/aws-cdk-lib/recommended-feature-flags.json'),
      'utf8',
    )
    expect(projectContext()).toMatchObject(JSON.parse(file) as Record<string, unknown>)
  })
})
