import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { globMatcher } from '../../../functions/core/policy/glob.ts'

/** The definition, word for word: slow, but plain to see. */
function matchesByDefinition(pattern: string, text: string): boolean {
  if (pattern === '') return text === ''
  if (pattern.startsWith('**'))
    return runs(text, () => true).some((rest) => matchesByDefinition(pattern.slice(2), rest))
  if (pattern.startsWith('*'))
    return runs(text, (run) => !/[/:]/.test(run)).some((rest) => matchesByDefinition(pattern.slice(1), rest))
  return text !== '' && pattern[0] === text[0] && matchesByDefinition(pattern.slice(1), text.slice(1))
}

/** What can remain of a text after a run of characters that is allowed. */
function runs(text: string, isAllowed: (run: string) => boolean): readonly string[] {
  const ends = Array.from({ length: text.length + 1 }, (_, end) => end)
  return ends.filter((end) => isAllowed(text.slice(0, end))).map((end) => text.slice(end))
}

const texts = fc.string({ unit: fc.constantFrom('a', 'b', '/', ':', '\n'), maxLength: 8 })
const patterns = fc.string({ unit: fc.constantFrom('a', 'b', '/', ':', '*', '**'), maxLength: 6 })

describe('a glob', () => {
  it('matches exactly what its definition says', () => {
    fc.assert(
      fc.property(patterns, texts, (pattern, text) => {
        expect(globMatcher(pattern)(text)).toBe(matchesByDefinition(pattern, text))
      }),
      { numRuns: 5000 },
    )
  })

  it('without a star matches itself alone', () => {
    fc.assert(
      fc.property(
        fc.string().filter((text) => !text.includes('*')),
        fc.string(),
        (pattern, text) => {
          expect(globMatcher(pattern)(pattern)).toBe(true)
          expect(globMatcher(pattern)(text)).toBe(text === pattern)
        },
      ),
    )
  })

  it.each([
    ['refs/tags/v*', 'refs/tags/v1.2'],
    ['refs/tags/v*', 'refs/tags/v'],
    ['refs/**', 'refs/heads/a/b:c'],
    ['repo:o/*:ref:**', 'repo:o/r:ref:refs/heads/main'],
    ['*', ''],
    ['**', 'line\nline'],
    ['*@example.com', 'a@example.com'],
    ['é*', 'é😀'],
    ['a*b*c', 'a1b2b3c'],
  ])('%s matches %s', (pattern, text) => {
    expect(globMatcher(pattern)(text)).toBe(true)
  })

  it.each([
    ['refs/tags/v*', 'refs/tags/v1/../x'],
    ['refs/tags/v*', 'xrefs/tags/v1'],
    ['*@example.com', 'a@example.com.evil.example'],
    ['*@example.com', 'a@example.com\n'],
    ['repo:o/*', 'repo:o/r:pull_request'],
    ['repo:o*', 'repo:o/r'],
    ['a.c*', 'abc'],
    ['[ab]*', 'a'],
    ['a?*', 'ab'],
    ['A*', 'a'],
    ['é*', 'e\u0301'],
  ])('%s does not match %j', (pattern, text) => {
    expect(globMatcher(pattern)(text)).toBe(false)
  })

  it('takes time in proportion to pattern and text, whatever they are', () => {
    const pattern = `${'**a*'.repeat(200)}b`
    const text = 'a'.repeat(16 * 1024)
    expect(globMatcher(pattern)(text)).toBe(false)
  }, 10_000)
})
