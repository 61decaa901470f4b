import { readFileSync } from 'node:fs'

/** A recipe of docs/recipes.md: its two blocks of YAML. */
export interface Recipe {
  readonly title: string
  readonly policy: string
  readonly examples: string
}

const [, ...SECTIONS] = readFileSync('docs/recipes.md', 'utf8').split('\n## ')

export const RECIPES: readonly Recipe[] = SECTIONS.flatMap((section) => {
  const [title = ''] = section.split('\n')
  const [policy, examples] = [...section.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text = '']) => text)
  return policy === undefined ? [] : [{ title, policy, examples: examples ?? 'tests: missing' }]
})
