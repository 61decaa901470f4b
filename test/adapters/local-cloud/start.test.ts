import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { decodeJwt } from 'jose'
import { afterAll, afterEach, describe, expect, it } from 'vitest'

const PROJECT = fileURLToPath(new URL('../../..', import.meta.url))
const FOLDER = mkdtempSync(join(tmpdir(), 'start-'))

/** `npm start` with these arguments, until it is ready or ends. */
class Start {
  readonly child: ChildProcess
  readonly exited: Promise<number | null>
  output = ''
  errors = ''

  constructor(args: readonly string[], environment: NodeJS.ProcessEnv = {}) {
    const command = ['--import', 'tsx', 'bin/local.ts', ...args]
    this.child = spawn(process.execPath, command, { cwd: PROJECT, env: { ...process.env, ...environment } })
    this.child.stdout?.on('data', (chunk) => (this.output += String(chunk)))
    this.child.stderr?.on('data', (chunk) => (this.errors += String(chunk)))
    this.exited = once(this.child, 'close').then(([code]) => code as number | null)
  }

  async url(): Promise<string> {
    const found = () => /^ready (http:\/\/127\.0\.0\.1:\d+)$/m.exec(this.output)?.[1]
    let ended = false
    void this.exited.then(() => {
      ended = true
    })
    await expect.poll(() => ended || found() !== undefined).toBe(true)
    return found() ?? Promise.reject(new Error(`not ready: ${this.errors}`))
  }
}

describe('npm start', () => {
  const running: Start[] = []
  const start = (...args: string[]): Start => {
    const started = new Start(args)
    running.push(started)
    return started
  }
  afterEach(async () => {
    for (const { child, exited } of running.splice(0)) {
      child.kill('SIGTERM')
      await exited
    }
  })
  afterAll(() => rmSync(FOLDER, { recursive: true, force: true }))

  it('shows an exchange, its claims and a curl line that works when pasted', async () => {
    const broker = start('--port', '0')
    const url = await broker.url()
    expect(broker.output).toContain('answer 200')
    expect(broker.output).toContain(`in a browser: ${url}/console\n`)
    expect((await fetch(`${url}/console`)).status).toBe(200)
    expect(broker.output).toContain(`"iss": "${url}"`)
    expect(broker.output).not.toMatch(/eyJ[\w-]+\.[\w-]+\.[\w-]+/)
    // Without a terminal there are no colours.
    expect(broker.output).not.toContain('\u001b')
    const line = broker.output.split('\n').find((it) => it.startsWith('curl ')) ?? ''
    for (const _ of ['once', 'again']) {
      const pasted = spawnSync('sh', ['-c', line], { encoding: 'utf8' })
      const { access_token } = JSON.parse(pasted.stdout) as { access_token: string }
      expect(decodeJwt(access_token)).toMatchObject({ iss: url, grant: 'payments-ci' })
    }
    broker.child.kill('SIGINT')
    expect(await broker.exited).toBe(0)
    expect(broker.output).toMatch(/permissions that nothing used in this run:\n {2}\S+: \w+:\w+ on arn:/)
  })

  it.each(['SIGINT', 'SIGTERM'] as const)(
    'prints one line when quiet, and ends within two seconds of %s',
    async (signal) => {
      const startedAt = performance.now()
      const broker = start('--port', '0', '--quiet')
      const url = await broker.url()
      const readyAt = performance.now()
      broker.child.kill(signal)
      expect(await broker.exited).toBe(0)
      // Of a busy machine's seconds so many as it took to start.
      expect(performance.now() - readyAt).toBeLessThan(Math.max(2000, readyAt - startedAt))
      expect(broker.output).toBe(`ready ${url}\n`)
      expect(broker.errors).toBe('')
    },
  )

  it('can be interrupted while it starts', async () => {
    const broker = start('--port', '0')
    // At once: a busy machine may be ready before anybody looks.
    broker.child.stdout?.on('data', () => {
      if (broker.output.includes('table ')) broker.child.kill('SIGTERM')
    })
    expect(await broker.exited).toBe(0)
    expect(broker.output).toContain('table ')
    expect(broker.output).not.toContain('ready')
  })

  it('keeps keys from one run to the next where it is told to', async () => {
    const keys = async (): Promise<unknown> => {
      const broker = start('--port', '0', '--quiet', '--data', join(FOLDER, 'data'))
      const answer = await fetch(`${await broker.url()}/.well-known/jwks.json`)
      const { keys } = (await answer.json()) as { keys: unknown }
      broker.child.kill('SIGTERM')
      await broker.exited
      return keys
    }
    const first = await keys()
    expect(first).not.toEqual([])
    expect(await keys()).toEqual(first)
  })

  it('tells how to sign and exchange where the policy grants nothing that it can show', async () => {
    const folder = policy('closed', {
      issuers: {
        mine: {
          issuer: 'http://127.0.0.1:9',
          keys: 'discovery',
          algorithms: ['RS256'],
          audiences: ['https://a.example'],
        },
      },
      targets: { api: { audience: 'https://api.example', scopes: ['read'] } },
      grants: { one: { issuer: 'mine', when: { sub: 'me' }, target: 'api', scopes: ['read'] } },
    })
    const broker = start('--port', '0', '--policy', folder)
    const url = await broker.url()
    expect(broker.output).toContain(`${url}/demo-issuer/sign`)
    expect(broker.output).toContain('<issuer id>')
    expect(broker.output).not.toContain('answer 200')
  })

  it('shows an exchange of whatever policy it is given', async () => {
    const folder = policy('other', {
      issuers: {
        corp: {
          issuer: 'https://login.corp.example',
          keys: 'discovery',
          algorithms: ['RS256'],
          audiences: ['https://a.example'],
        },
      },
      targets: { api: { audience: 'https://api.example', scopes: ['read'] } },
      grants: {
        one: {
          issuer: 'corp',
          when: { sub: 'alice', team: { name: 'p*' } },
          target: 'api',
          scopes: ['read'],
        },
      },
    })
    const broker = start('--port', '0', '--policy', folder)
    await broker.url()
    expect(broker.output).toContain('"issuer":"corp","claims":{"sub":"alice","team":{"name":"pexample"}}')
    expect(broker.output).toContain('answer 200')
  })

  it('says where the policy is wrong', async () => {
    const folder = policy('wrong', { grants: { one: { isuer: 'corp' } } })
    const broker = start('--port', '0', '--policy', folder)
    expect(await broker.exited).toBe(1)
    expect(broker.errors).toMatch(/wrong[/\\]policy\.yaml:\d+:\d+/)
  })

  it.each([
    ['--emf', join(FOLDER, 'nowhere', 'run.log'), 'ENOENT', 'a file that can be written'],
    ['--data', fileURLToPath(import.meta.url), 'EEXIST', 'a folder that can be made and written'],
    ['--aws-accounts', join(FOLDER, 'nowhere'), 'ENOENT', 'a folder of CloudFormation templates'],
  ])('says in one line that %s %s cannot be used', async (option, path, code, wanted) => {
    const broker = start(option, path, '--quiet')
    expect(await broker.exited).toBe(1)
    expect(broker.errors).toBe(`${option} ${path} cannot be used (${code}): name ${wanted}\n`)
  })

  it('says that the port is in use, and what to do', async () => {
    const server = createServer()
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
    const { port } = server.address() as AddressInfo
    const broker = start('--port', String(port), '--quiet')
    expect(await broker.exited).toBe(1)
    expect(broker.errors).toBe(
      `port ${port} is in use: stop what listens there, or choose another with --port (0 picks a free one)\n`,
    )
    server.close()
  })

  it.each([[['--prot', '1']], [['--port', 'http']], [['--port', '65536']], [['extra']]])(
    'refuses %j with its usage',
    async (args) => {
      const broker = start(...args)
      expect(await broker.exited).toBe(2)
      expect(broker.errors).toContain('Usage: npm start')
      expect(broker.output).toBe('')
    },
  )

  it('explains itself', async () => {
    const broker = start('--help')
    expect(await broker.exited).toBe(0)
    expect(broker.output).toContain('Usage: npm start')
  })
})

function policy(name: string, content: object): string {
  const folder = join(FOLDER, name)
  mkdirSync(folder)
  // JSON is YAML.
  writeFileSync(join(folder, 'policy.yaml'), JSON.stringify(content, null, 2))
  return folder
}
