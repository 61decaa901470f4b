import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

interface Section {
  readonly file: string
  /** The ids of the catalogue that the file must have: a letter, the first and the last number. */
  readonly letter: string
  readonly first: number
  readonly last: number
}

const SECTIONS: readonly Section[] = [
  { file: 'jws.test.ts', letter: 'A', first: 1, last: 27 },
  { file: 'claims.test.ts', letter: 'B', first: 1, last: 27 },
  { file: 'delegation.test.ts', letter: 'C', first: 1, last: 15 },
  { file: 'request.test.ts', letter: 'D', first: 1, last: 18 },
  { file: 'http.test.ts', letter: 'E', first: 1, last: 17 },
  { file: 'client-authentication.test.ts', letter: 'F', first: 1, last: 12 },
  { file: 'certificates.test.ts', letter: 'F', first: 11, last: 11 },
  { file: 'dpop.test.ts', letter: 'G', first: 1, last: 9 },
  { file: 'jwks-and-network.test.ts', letter: 'H', first: 1, last: 12 },
  { file: 'revocation.test.ts', letter: 'I', first: 1, last: 14 },
  { file: 'audit-and-logs.test.ts', letter: 'J', first: 4, last: 11 },
  { file: 'aws.test.ts', letter: 'K', first: 1, last: 12 },
  { file: 'abuse.test.ts', letter: 'L', first: 1, last: 6 },
]

function idsOf({ letter, first, last }: Section): readonly string[] {
  return Array.from({ length: last - first + 1 }, (_, at) => letter + String(first + at).padStart(2, '0'))
}

/** Ids at the beginning of a text in the source: every title is one, or is made of one. */
const TITLE = /['"`]((?:[A-L]\d\d )+)\S/g

function idsInTitles(source: string): ReadonlySet<string> {
  return new Set([...source.matchAll(TITLE)].flatMap(([, ids = '']) => ids.trim().split(' ')))
}

const here = (file: string): URL => new URL(file, import.meta.url)

describe('the catalogue of attacks', () => {
  for (const section of SECTIONS)
    it(`has a test for each of ${idsOf(section).at(0)} to ${idsOf(section).at(-1)} in ${section.file}`, () => {
      const tested = idsInTitles(readFileSync(here(section.file), 'utf8'))
      expect(idsOf(section).filter((id) => !tested.has(id))).toEqual([])
      const strangers = [...tested].filter((id) => !idsOf(section).includes(id))
      expect(strangers, 'ids of another section, or of none').toEqual([])
    })
})
