import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { runCli } from '../../lib/cli/run.ts'
import { MemoryTerminal } from './memory-terminal.ts'

async function run(args: readonly string[]) {
  const terminal = new MemoryTerminal({})
  const code = await runCli(args, { terminal, now: () => 1_800_000_000 })
  return { code, out: terminal.outText, err: terminal.errText }
}

it('clients secret prints a digest that the policy accepts at the place it names', async () => {
  const { out, err } = await run(['clients', 'secret'])
  const [, digest = ''] = out.split('\n')
  const [, key = ''] = /clients\.<id>\.authentication\.(\w+) /.exec(err) ?? []
  const folder = mkdtempSync(join(tmpdir(), 'clients-cli-'))
  writeFileSync(
    join(folder, 'policy.yaml'),
    `clients: {a: {authentication: {method: client_secret_basic, ${key}: ["${digest}"]}, introspects: [t]}}\ntargets: {t: {audience: t}}\n`,
  )
  try {
    expect(await run(['policy', 'lint', '--strict', '--policy', folder])).toMatchObject({ code: 0, err: '' })
  } finally {
    rmSync(folder, { recursive: true })
  }
})
