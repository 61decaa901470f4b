import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadPolicy, PolicyError } from '../../lib/policy-folder.ts'

const POLICY = `# A policy without a mistake.
issuers:
  github:
    preset: github-actions
    audiences: [https://broker.example.com]
    max_lifetime: 10m
targets:
  payments-api:
    audience: https://payments.example.com
    scopes: [payments.read, payments.write]
grants:
  payments-ci:
    issuer: github
    when:
      repository_id: "123456"
      ref: [refs/heads/main, "refs/tags/v*"]
    target: payments-api
    scopes: [payments.read, payments.write]
    default_scopes: [payments.read]
    claims: {repository: "{repository}", sha: "{sha}"}
`

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'policy-mistakes-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true })
})

/** The policy with some text of it replaced: each must be there. */
function policyWith(...edits: readonly (readonly [from: string, to: string])[]): string {
  return edits.reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`there is no ${from}`)
    return text.replace(from, () => to)
  }, POLICY)
}

/** What is wrong with a folder of these files, a line each. */
function linesFor(files: Readonly<Record<string, string>>): readonly string[] {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  try {
    loadPolicy(folder, { loopbackIssuers: false })
  } catch (error) {
    if (error instanceof PolicyError) return error.message.replaceAll(`${folder}/`, '').split('\n')
    throw error
  }
  return []
}

const NO_COLON =
  'found a text without a colon where a key should be; allowed: `key: value`, with a space after the colon'
const COLON_IN_VALUE =
  'found a value that goes on with a colon; allowed: the keys of one map in one column, and quotes around a text with ": " in it'
const COLUMN =
  'found a line in another column than those before it; allowed: the keys of one map in one column'
const SPECIAL = 'found a character that means something in YAML; allowed: quotes around a text that begins so'
const STAR = 'found * or & at the beginning of a value; allowed: quotes around a text that begins so'

describe('one slip in YAML', () => {
  it('has none to begin with', () => expect(linesFor({ 'a.yaml': POLICY })).toEqual([]))

  it.each([
    ['no colon after a section', 'issuers:', 'issuers', `2:1: ${NO_COLON}`],
    ['no colon after an id', '  github:\n', '  github\n', `3:3: ${NO_COLON}`],
    ['no colon after the id of a grant', 'payments-ci:', 'payments-ci', `12:3: ${NO_COLON}`],
    ['no colon after a key with keys below', '    when:', '    when', `14:5: ${NO_COLON}`],
    ['no colon before a value', 'preset: github', 'preset github', `4:5: ${NO_COLON}`],
    ['no space after the colon', 'target: pay', 'target:pay', `17:5: ${NO_COLON}`],
    ['a key too far left', '      ref:', '     ref:', `16:6: ${COLUMN}`],
    ['a key too far right', '    when:', '     when:', `13:13: ${COLON_IN_VALUE}`],
    ['a grant without its indentation', '    issuer: g', '  issuer: g', `13:11: ${COLON_IN_VALUE}`],
    ['a colon in a text', 'repository_id: "123456"', 'sub: a: b', `15:12: ${COLON_IN_VALUE}`],
    ['a tab', '    target:', '\ttarget:', '17:1: found a tab; allowed: spaces'],
    ['a tab after spaces', '      ref:', '    \tref:', '16:5: found a tab; allowed: spaces'],
    [
      'a space of a word processor',
      '      ref:',
      '    \u00a0 ref:',
      '16:5: found something that looks like a space and is none; allowed: spaces',
    ],
    [
      'a quote of a word processor',
      '"123456"',
      '“123456”',
      `15:22: found a typographic quote; allowed: " or '`,
    ],
    ['a list without its end', 'v*"]', 'v*"', '16:12: found a [ that is not closed; allowed: ] at its end'],
    [
      'a map without its end',
      '{sha}"}',
      '{sha}"',
      '20:13: found a { that is not closed; allowed: } at its end',
    ],
    [
      'a text without its end',
      '"123456"',
      '"123456',
      '15:22: found a " that is not closed; allowed: " at its end',
    ],
    ['a lone * for a value', '"refs/tags/v*"', '*', `16:30: ${STAR}`],
    [
      'a pattern that begins with *',
      '"refs/tags/v*"',
      '**/main',
      '16:30: found an alias; allowed: the value itself, in quotes if it begins with *',
    ],
    ['an @ before a value', '"123456"', '@123456', `15:22: ${SPECIAL}`],
    [
      'a backslash in double quotes',
      'v*',
      'v\\d',
      '16:42: found a backslash in "…"; allowed: \\\\ for one, or \'…\' around the text',
    ],
  ])('is one line, that says where and what is expected: %s', (_what, from, to, line) => {
    expect(linesFor({ 'a.yaml': policyWith([from, to]) })).toEqual([`a.yaml:${line}`])
  })

  it('hides neither another one nor a mistake of another kind, in the same file or another', () => {
    const text = policyWith(
      ['  github:\n', '  github\n'],
      ['    audience: https', '    audiences: https'],
      ['    target: payments-api', '    target:payments-api'],
    )
    expect(linesFor({ 'a.yaml': text, 'b.yaml': 'defaults: {lifetime: 5 min}\n' })).toEqual([
      `a.yaml:3:3: ${NO_COLON}`,
      expect.stringContaining('a.yaml:9:5 targets.payments-api.audiences: found the unknown key'),
      `a.yaml:17:5: ${NO_COLON}`,
      'b.yaml:1:12 defaults.lifetime: found "5 min"; allowed: a duration such as 30s, 5m or 1h',
    ])
  })

  it('is one line where a section with many entries has it', () => {
    const other = '  other: {issuer: github, when: {repository_id: "2"}, target: payments-api}\n'
    const text = `${policyWith(['grants:', 'grants'])}${other}`
    expect(linesFor({ 'a.yaml': text })).toEqual([`a.yaml:11:1: ${NO_COLON}`])
  })

  it('is one line beside a section in brackets', () => {
    const inBrackets =
      'targets: {\n  payments-api: {audience: a, scopes: [payments.read, payments.write]},\n  b: {audience: b},\n}\n'
    const [before = '', after = ''] = POLICY.split(/targets:.*(?=grants:)/s)
    const text = `${before}${inBrackets}${after.replace('target: pay', 'target:pay')}`
    expect(linesFor({ 'a.yaml': text })).toEqual([`a.yaml:17:5: ${NO_COLON}`])
  })

  it('of another kind does not hide that a section is there twice', () => {
    const text = `${policyWith(['    target:', '    issuer: github\n    target:'])}grants: {}\n`
    expect(linesFor({ 'a.yaml': text })).toEqual([
      'a.yaml:17:5: found a key twice; allowed: each key once',
      'a.yaml:22:1: found a key twice; allowed: each key once',
    ])
  })

  it('makes no other mistake of what refers to a part that cannot be read', () => {
    const text = policyWith(['  github:\n', '  github\n'], ['payments-api:\n', 'payments-api\n'])
    expect(linesFor({ 'a.yaml': text })).toEqual([`a.yaml:3:3: ${NO_COLON}`, `a.yaml:8:3: ${NO_COLON}`])
  })

  it('is one line in JSON too', () => {
    const lines = linesFor({ 'a.yaml': '{\n  "issuers": {"a": 1 "b": 2},\n  "targets": {}\n}\n' })
    expect(lines).toEqual([expect.stringMatching(/^a\.yaml:2:\d+: found /)])
  })

  it('is one line below lines of comments, brackets over several lines and a directive', () => {
    const text = `%YAML 1.2\n---\n${policyWith(
      ['{repository: "{repository}", sha: "{sha}"}', '{\n      sha: "{sha}",\n    }\n  # the end'],
      ['preset: github', 'preset github'],
    )}`
    expect(linesFor({ 'a.yaml': text })).toEqual([`a.yaml:6:5: ${NO_COLON}`])
  })

  it('is none in a comment, or within a text', () => {
    const text = policyWith(['# A policy', '# This: “a policy”'], ['"{sha}"', '"{sha}: “it”"'])
    expect(linesFor({ 'a.yaml': text })).toEqual([])
  })

  it('never leaves a policy in force that lacks what cannot be read', () => {
    expect(linesFor({ 'a.yaml': POLICY, 'b.yaml': 'grants:\n  more\n  and: {}\n' })).toEqual([
      expect.stringContaining('b.yaml:2:3'),
    ])
  })
})

describe('a mistake in a policy', () => {
  it.each([
    ['issuer: github\n', 'issuer: githb\n', '13:5 grants.payments-ci.issuer: found "githb"', 'github'],
    ['target: payments-api', 'target: payment-api', '17:5 grants.payments-ci.target: found', 'payments-api'],
    ['default_scopes:', 'default_scope:', '19:5 grants.payments-ci.default_scope: found', 'default_scopes'],
    ['grants:', 'grant:', '11:1 grant: found the unknown key "grant"', 'grants'],
    ['targets:', 'target:', '7:1 target: found the unknown key "target"', 'targets'],
    ['preset: github-actions', 'preset: github', '4:5 issuers.github.preset: found', 'github-actions'],
    ['github-actions', 'GitHub_Actions', '4:5 issuers.github.preset: found', 'github-actions'],
    ['    audiences:', '    audience:', '5:5 issuers.github.audience: found the unknown key', 'audiences'],
    ['max_lifetime', 'max_lifetmie', '6:5 issuers.github.max_lifetmie: found', 'max_lifetime'],
  ])('is told with what was probably meant, alone: %s as %s', (from, to, start, meant) => {
    const lines = linesFor({ 'a.yaml': policyWith([from, to]) })
    expect(lines).toEqual([expect.stringContaining(`a.yaml:${start}`)])
    expect(lines[0]).toMatch(new RegExp(`; allowed: .*; did you mean ${meant}\\?$`))
  })

  it.each(['anything', 'githubbersnatch', 'x'.repeat(5000)])('does not guess at %s', (id) => {
    const [line] = linesFor({ 'a.yaml': policyWith(['issuer: github\n', `issuer: ${id}\n`]) })
    expect(line).toMatch(/; allowed: github, or broker for our own tokens$/)
  })

  it('is not guessed at among hundreds of ids, which would take its time for each of many', () => {
    const more = Array.from(
      { length: 200 },
      (_, at) => `  target-${at}: {audience: "https://${at}.example.com"}\n`,
    )
    const text = policyWith(
      ['grants:\n', `${more.join('')}grants:\n`],
      ['target: payments-api', 'target: payment-api'],
    )
    expect(linesFor({ 'a.yaml': text })).toEqual([expect.stringMatching(/ and 189 more$/)])
  })

  it('is told from a key that stands one level too deep', () => {
    expect(linesFor({ 'a.yaml': policyWith(['    target:', '      target:']) })).toEqual([
      'a.yaml:12:3 grants.payments-ci.target: found nothing; allowed: the id of a target; when has one: is it indented too far?',
    ])
  })

  it('of form hides none of meaning elsewhere, nor makes one of what refers to it', () => {
    const text = policyWith(
      ['10m', '5 min'],
      ['target: payments-api', 'target: ledger'],
      ['    scopes: [', '    scope: ['],
    )
    expect(linesFor({ 'a.yaml': text })).toEqual([
      expect.stringContaining('a.yaml:6:5 issuers.github.max_lifetime: found "5 min"'),
      expect.stringContaining('a.yaml:10:5 targets.payments-api.scope: found the unknown key'),
      'a.yaml:17:5 grants.payments-ci.target: found "ledger"; allowed: payments-api',
    ])
  })

  it('lets nothing of a policy reach a terminal as it is', () => {
    const [line] = linesFor({ 'a.yaml': policyWith(['github-actions', '"a\\u009b2J\\u202e\\u200b\\xa0"']) })
    expect(line).toContain(String.raw`found "a\u{9b}2J\u{202e}\u{200b}\u{a0}"`)
  })
})
