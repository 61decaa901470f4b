import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { runCli } from '../../lib/cli/run.ts'
import { RECIPES, type Recipe } from '../support/recipes.ts'
import { MemoryTerminal } from './memory-terminal.ts'

const folders: string[] = []
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true })
})

function folderOf(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'recipe-'))
  folders.push(folder)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return folder
}

function copied({ policy, examples }: Recipe): string {
  return folderOf({ 'recipe.yaml': policy, 'recipe.test.yaml': examples })
}

async function run(args: readonly string[]) {
  const terminal = new MemoryTerminal({})
  const code = await runCli(['policy', ...args], { terminal, now: () => 1_800_000_000 })
  return { code, printed: terminal.outText + terminal.errText }
}

describe('docs/policy.md', () => {
  it('shows examples that hold for the policy that is deployed', async () => {
    const [, examples = ''] = /^```yaml\n(.*?)^```$/ms.exec(readFileSync('docs/policy.md', 'utf8')) ?? []
    const names = readdirSync('policy').filter((name) => /(?<!\.test)\.yaml$/.test(name))
    const policy = names.map((name) => [name, readFileSync(join('policy', name), 'utf8')] as const)
    const folder = folderOf({ ...Object.fromEntries(policy), 'docs.test.yaml': examples })
    expect(await run(['test', '--policy', folder])).toEqual({ code: 0, printed: '2 passed, 0 failed\n' })
  })
})

describe('docs/recipes.md', () => {
  it('has recipes', () => expect(RECIPES.length).toBeGreaterThan(5))

  it.each(RECIPES)('$title: names the schemas for editors', ({ policy, examples }) => {
    const schemaOf = (text: string) => /^# yaml-language-server: \$schema=(\S+)\n/.exec(text)?.[1]
    expect([schemaOf(policy), schemaOf(examples)]).toEqual([
      './policy.schema.json',
      './policy-test.schema.json',
    ])
  })

  it.each(RECIPES)('$title: passes lint and its own examples', async (recipe) => {
    const folder = copied(recipe)
    expect(await run(['lint', '--strict', '--policy', folder])).toEqual({
      code: 0,
      printed: expect.any(String),
    })
    expect(await run(['test', '--policy', folder])).toEqual({ code: 0, printed: expect.any(String) })
  })
})
