import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, inject, it } from 'vitest'
import { startLocalCloud } from '../../lib/local/cloud.ts'
import { startTestCloud, type TestCloud } from '../support/cloud.ts'
import { emfLinesIn } from '../support/emf.ts'

const opened: { close(): unknown }[] = []
const folders: string[] = []

afterEach(async () => {
  for (const one of opened.splice(0)) await one.close()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

async function start(options = {}): Promise<TestCloud> {
  const broker = await startTestCloud(options)
  opened.push(broker)
  return broker
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'token-broker-test-'))
  folders.push(folder)
  return folder
}

/** The assembly with its service template changed as text. */
function changedAssembly(change: (template: string) => string): string {
  const folder = temporaryFolder()
  cpSync(inject('assemblyFolder'), folder, { recursive: true })
  const [name = ''] = readdirSync(folder).filter((file) => file.endsWith('-service.template.json'))
  const path = join(folder, name)
  const before = readFileSync(path, 'utf8')
  const after = change(before)
  expect(after).not.toBe(before)
  writeFileSync(path, after)
  return folder
}

/** Changes what the deployment calls a fast answer. */
const latency = (value: string) => (template: string) =>
  template.replaceAll(/(?<="LATENCY_MILLISECONDS":\s*)"\d+"/g, value)

describe('a broker that has just started', () => {
  it('knows a replay and a signing key across restarts when its data is kept', async () => {
    const dataFolder = temporaryFolder()
    const first = await start({ dataFolder })
    const token = await first.sign({ preset: 'github-actions' })
    const { body } = await first.exchange(token)
    const jwksOf = async ({ url }: TestCloud) => (await fetch(`${url}/.well-known/jwks.json`)).text()
    const keys = await jwksOf(first)
    await opened.pop()?.close()
    const second = await start({ dataFolder })
    expect(body['access_token']).toBeDefined()
    expect(await jwksOf(second)).toBe(keys)
  })

  it('answers 503, not 400, while an issuer that it has never reached is down', async () => {
    const broker = await start()
    const token = await broker.sign({ preset: 'github-actions' })
    broker.cloud.demoIssuer.fail(true)
    expect((await broker.exchange(token)).status).toBe(503)
    broker.cloud.demoIssuer.fail(false)
  })

  it('agrees about a replay among several environments', async () => {
    const broker = await start({ environments: 3 })
    const token = await broker.sign({ preset: 'github-actions' })
    const answers = await Promise.all(Array.from({ length: 30 }, () => broker.exchange(token)))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
  })
})

it('counts as fast what the deployment calls so', async () => {
  const assemblyFolder = changedAssembly(latency('"1"'))
  const broker = await start({ assemblyFolder })
  const timed = () => emfLinesIn(broker.lines.join('\n')).filter((line) => 'Duration' in line)
  const askOnce = async () => {
    await broker.exchange(await broker.sign({ preset: 'github-actions' }))
    return timed().length
  }
  // The first is a cold start, which is not timed; and a line comes by another way than the answer.
  await expect.poll(askOnce, { timeout: 20_000 }).toBeGreaterThan(0)
  expect(timed().filter((line) => line['Fast'] !== 0)).toEqual([])
})

describe('what would fail on AWS', () => {
  it('a permission that is missing is named, and stops the local cloud', async () => {
    const assemblyFolder = changedAssembly((template) =>
      template.replaceAll('"dynamodb:BatchGetItem"', '"dynamodb:Query"'),
    )
    const cloud = await startLocalCloud({ assemblyFolder, issuers: inject('policy').issuers })
    opened.push(cloud)
    const signed = await fetch(`${cloud.url}/demo-issuer/sign`, {
      method: 'POST',
      body: '{"preset":"github-actions"}',
    })
    const { token } = (await signed.json()) as { token: string }
    const form = {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      subject_token: token,
    }
    await fetch(`${cloud.url}/token`, { method: 'POST', body: new URLSearchParams(form) }).catch(
      () => undefined,
    )
    const { message } = await cloud.stopped
    expect(message).toMatch(/dynamodb:BatchGetItem/)
    expect(message).toMatch(/Revocations/)
  })

  it('a variable that is missing is named, and stops the local cloud', async () => {
    const assemblyFolder = changedAssembly((template) =>
      template.replaceAll('"SIGNING_KEYS_TABLE"', '"KEYS_TABLE"'),
    )
    await expect(startLocalCloud({ assemblyFolder, issuers: inject('policy').issuers })).rejects.toThrow(
      'SIGNING_KEYS_TABLE',
    )
  })

  it('a variable that is malformed is named, and stops the local cloud', async () => {
    const broker = await start({ assemblyFolder: changedAssembly(latency('"fast"')) })
    for (const path of ['token', 'introspect', 'revoke'])
      await fetch(`${broker.url}/${path}`, { method: 'POST' })
    const message = 'environment variable LATENCY_MILLISECONDS is fast, not a number of milliseconds'
    expect(broker.defects).toEqual(
      ['Exchange', 'Introspect', 'Revoke'].map((name) => ({
        kind: 'function',
        functionName: expect.stringContaining(name) as string,
        message,
      })),
    )
  })

  it('a table that is missing is named, and stops the local cloud', async () => {
    const assemblyFolder = changedAssembly((template) =>
      template.replace(/"SIGNING_KEYS_TABLE":\s*\{[^}]*\}/g, '"SIGNING_KEYS_TABLE":"no-such-table"'),
    )
    await expect(startLocalCloud({ assemblyFolder, issuers: inject('policy').issuers })).rejects.toThrow(
      'no-such-table',
    )
  })
})
