import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
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

function copied({ policy, examples }: Recipe): string {
  const folder = mkdtempSync(join(tmpdir(), 'recipe-'))
  folders.push(folder)
  writeFileSync(join(folder, 'recipe.yaml'), policy)
  writeFileSync(join(folder, 'recipe.test.yaml'), examples)
  return folder
}

async function run(args: readonly string[]) {
  const terminal = new MemoryTerminal({})
  const code = await runCli(['policy', ...args], { terminal, now: () => 1_800_000_000 })
  return { code, printed: terminal.outText + terminal.errText }
}

describe('docs/recipes.md', () => {
  it('has recipes', () => expect(RECIPES.length).toBeGreaterThan(5))

  it.each(RECIPES)('$title: passes lint and its own examples', async (recipe) => {
    const folder = copied(recipe)
    expect(await run(['lint', '--strict', '--policy', folder])).toEqual({
      code: 0,
      printed: expect.any(String),
    })
    expect(await run(['test', '--policy', folder])).toEqual({ code: 0, printed: expect.any(String) })
  })
})
