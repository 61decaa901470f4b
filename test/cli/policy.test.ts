import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SignJWT } from 'jose'
import { afterAll, describe, expect, it } from 'vitest'
import { runCli } from '../../lib/cli/run.ts'
import { MemoryTerminal } from './memory-terminal.ts'

const NOW = 1_800_000_000
const folders: string[] = []
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true })
})

const POLICY = `issuers:
  github: {preset: github-actions, audiences: [https://broker.example.com], max_lifetime: 10m}
  gitlab: {preset: gitlab, audiences: [https://broker.example.com]}
targets:
  payments: {audience: https://payments.example.com, scopes: [read, write], resources: [https://payments.example.com/v1]}
  ledger: {audience: https://ledger.example.com}
grants:
  payments-ci:
    issuer: github
    when: {repository_id: "123456", ref: [refs/heads/main, "refs/tags/v*"]}
    target: payments
    scopes: [read, write]
    default_scopes: [read]
    lifetime: 5m
    claims: {sha: "{sha}"}
`

function folderWith(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'policy-cli-'))
  folders.push(folder)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return folder
}

async function run(args: readonly string[], input = '') {
  const terminal = new MemoryTerminal({ input })
  const code = await runCli(['policy', ...args], { terminal, now: () => NOW })
  return { code, out: terminal.outText, err: terminal.errText }
}

const CLAIMS = {
  iss: 'https://token.actions.githubusercontent.com',
  aud: 'https://broker.example.com',
  sub: 'repo:octo-org/payments:ref:refs/heads/main',
  iat: NOW,
  exp: NOW + 300,
  repository_id: '123456',
  ref: 'refs/heads/main',
  sha: '1f0c3b5',
}

/** Signed by nobody in particular: the signature is not what is explained. */
function tokenWith(changes: object): Promise<string> {
  return new SignJWT({ ...CLAIMS, ...changes })
    .setProtectedHeader({ alg: 'HS256', kid: 'k', typ: 'JWT' })
    .sign(new Uint8Array(32))
}

describe('policy explain', () => {
  const explain = async (changes: object, ...options: readonly string[]) =>
    run(
      ['explain', '--policy', folderWith({ 'policy.yaml': POLICY }), ...options],
      `${await tokenWith(changes)}\n`,
    )
  const payments = ['--audience', 'https://payments.example.com']

  it('says what a token gets, and by which grant', async () => {
    expect(await explain({}, ...payments)).toEqual({
      code: 0,
      out: `granted by payments-ci: tokens of github for payments
  scopes    read
  lifetime  300 s at most, and never longer than the token itself
  claim     sha = "1f0c3b5"
`,
      err: '',
    })
  })

  it('says which condition is in the way, what it wants and what it found, and what to change', async () => {
    expect(await explain({ ref: 'refs/heads/feature' }, ...payments)).toEqual({
      code: 1,
      out: `refused: no grant matches
  tokens of github for payments; grants looked at: 1
  payments-ci: ref must be "refs/heads/main" or like "refs/tags/v*", found "refs/heads/feature"
to change it: present a token that fits, or widen grants.payments-ci.when
`,
      err: '',
    })
  })

  it('points to --issuer for a token that the broker itself has issued', async () => {
    const ours = { iss: 'https://tokens.example.com', grant: 'payments-ci', txn: 't', lineage: ['a'] }
    const { out } = await explain(ours, ...payments)
    expect(out).toContain('if the broker itself has issued it, add --issuer "https://tokens.example.com"')
  })

  it('says that a claim is missing', async () => {
    const { out } = await explain({ repository_id: undefined }, ...payments)
    expect(out).toContain('payments-ci: repository_id must be "123456", found no such claim')
  })

  it.each([
    [
      { iss: 'https://token.actions.githubusercontent.com/' },
      payments,
      'the policy has no issuer "https://token.actions.githubusercontent.com/"',
    ],
    [{ aud: 'https://github.com/octo-org' }, payments, 'its aud is "https://github.com/octo-org"'],
    [{ iat: NOW - 900, exp: NOW - 600 }, payments, 'it expired at 2027-01-15T07:50:00.000Z'],
    [{ nbf: NOW + 600 }, payments, 'it begins at 2027-01-15T08:10:00.000Z'],
    [{ exp: NOW + 900 }, payments, 'it lives longer than the 600 s that are accepted of github'],
    [{ sub: '' }, payments, 'its sub is ""'],
    [{ sha: undefined }, payments, 'the grant makes sha from a claim that the token lacks'],
    [{}, [], 'the request names no target, and github has no default_target'],
    [
      {},
      ['--audience', 'https://payment.example.com'],
      'no target has the audience "https://payment.example.com"',
    ],
    [{}, ['--resource', 'https://payments.example.com/v2'], 'no target has the resource'],
    [{}, [...payments, '--scope', 'admin'], 'its scopes are wider'],
    [
      {},
      ['--audience', 'https://ledger.example.com'],
      'no grant is for tokens of github and the target ledger',
    ],
  ])('puts every other reason into words: %j %j', async (changes, options, why) => {
    const { code, out } = await explain(changes, ...options)
    expect({ code, first: out.split('\n')[0] }).toEqual({ code: 1, first: expect.stringContaining(why) })
    expect(out).toContain('to change it: ')
  })

  it('lets nothing of a claim reach the terminal as it is', async () => {
    const { out } = await explain({ ref: 'a\u001b[2J\u202e\u009b' }, ...payments)
    expect(out).toContain(String.raw`found "a\u001b[2J\u202e\u009b"`)
  })

  it('tells machines the same', async () => {
    const { out } = await explain({ ref: 'refs/heads/feature' }, ...payments, '--json')
    expect(JSON.parse(out)).toMatchObject({
      outcome: 'refused',
      reason: 'no_grant_matches',
      issuer: 'github',
      target: 'payments',
      candidates: [{ grant: 'payments-ci', mismatch: { path: ['ref'], found: 'refs/heads/feature' } }],
    })
    expect(JSON.parse((await explain({}, ...payments, '--json')).out)).toMatchObject({
      outcome: 'granted',
      grant: 'payments-ci',
      scopes: ['read'],
      claims: { sha: '1f0c3b5' },
    })
  })

  it('explains a file of claims, and fills in what every token has', async () => {
    const folder = folderWith({
      'policy.yaml': POLICY,
      'who.json':
        '{"issuer": "github", "claims": {"repository_id": "123456", "ref": "refs/heads/main", "sha": "1"}}',
      'stranger.json': '{"issuer": "github2"}',
    })
    // The claims are no part of the policy.
    const options = ['explain', '--policy', folder, ...payments, '--claims']
    expect(await run([...options, join(folder, 'who.json')])).toMatchObject({ code: 0 })
    const { code, err } = await run([...options, join(folder, 'stranger.json')])
    expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining('known are github, gitlab') })
  })

  const DELEGATED = `${POLICY}    delegation: {actors: [{issuer: gitlab, when: {project_id: "4242"}}]}
`
  const withActor = (stdin: string, ...options: readonly string[]) =>
    run(['explain', '--policy', folderWith({ 'policy.yaml': DELEGATED }), ...payments, ...options], stdin)
  const actorToken = (changes: object = {}) =>
    tokenWith({ iss: 'https://gitlab.com', sub: 'project:1', project_id: '4242', ...changes })

  it('explains two tokens: the subject’s, and the actor’s after it', async () => {
    const both = `${await tokenWith({})}\n${await actorToken()}\n`
    expect((await withActor(both)).out).toContain('actors    gitlab:project:1')
    expect(JSON.parse((await withActor(both, '--json')).out)).toMatchObject({ actors: ['gitlab:project:1'] })
  })

  it.each([
    [undefined, 'a grant is for such a token, but only with an actor', 'found no actor token'],
    [
      { project_id: '1' },
      'but not with this actor',
      'gitlab with project_id "4242", found another token of gitlab',
    ],
    [{ aud: 'x' }, 'of the actor’s token, its aud is "x"', 'ask the platform'],
    [{ act: { sub: 'x' } }, 'has an act or a may_act itself', 'nobody acts, or may act, for the actor'],
    [{ sub: CLAIMS.sub, iss: CLAIMS.iss }, 'the actor is the subject', 'leave the actor_token out'],
  ])('says what is wrong with the actor: %j', async (changes, why, detail) => {
    const actor = changes === undefined ? '' : await actorToken(changes)
    const { code, out } = await withActor(`${await tokenWith({})} ${actor}`)
    expect([code, out]).toEqual([1, expect.stringContaining(why)])
    expect(out).toContain(detail)
  })

  it.each([
    [{ iss: 'https://gitlab.com', sub: 'project:1' }, 0, 'granted'],
    [{ iss: 'https://gitlab.com', sub: 'project:2' }, 1, 'may_act must have exactly'],
  ])('honours may_act: %j', async (may_act, exit, text) => {
    const { code, out } = await withActor(`${await tokenWith({ may_act })} ${await actorToken()}`)
    expect([code, out]).toEqual([exit, expect.stringContaining(text)])
  })

  it('says of a may_act without an actor whom it is for', async () => {
    const { out } = await withActor(await tokenWith({ may_act: { sub: 'x' } }))
    expect(out).toContain('its may_act says who may act: {"sub":"x"}')
  })

  it('takes an actor in a file of claims, of an issuer that the policy has', async () => {
    const who = (issuer: string) =>
      `{issuer: github, claims: {repository_id: "123456", ref: refs/heads/main, sha: "1"}, actor: {issuer: ${issuer}, claims: {project_id: "4242"}}}`
    const folder = folderWith({ 'policy.yaml': DELEGATED, 'a.json': who('gitlab'), 'b.json': who('nobody') })
    const explain = (file: string) =>
      run(['explain', '--policy', folder, ...payments, '--claims', join(folder, file)])
    expect((await explain('a.json')).out).toContain('actors    gitlab:example')
    expect((await explain('b.json')).err).toContain('the policy has no issuer nobody')
  })

  it('explains nothing to a client that the policy does not have', async () => {
    const { code, err } = await explain({}, ...payments, '--client', 'nobody')
    expect([code, err]).toEqual([1, expect.stringContaining('the policy has no client nobody')])
  })

  it('takes an empty parameter as left out, as a request does', async () => {
    expect((await explain({}, ...payments, '--scope', '', '--resource', '')).code).toBe(0)
  })

  it('takes no third token', async () => {
    expect((await withActor('a b c')).err).toContain('more than two tokens')
  })

  it.each([
    ['nothing', ' \n', 2, 'standard input is empty'],
    [
      'an error of whoever was asked',
      '{"error": "no preset github, for secret-text"}',
      1,
      'is JSON, no token',
    ],
    ['a token in a wrapping', '{"value":"secret-text"}', 1, 'have the token in one of its members'],
  ])('says what it got instead of a token: %s', async (_name, input, code, says) => {
    const explained = await run(['explain', '--policy', folderWith({ 'policy.yaml': POLICY })], input)
    expect(explained).toMatchObject({ code, err: expect.stringContaining(says) })
    expect(explained.err).not.toContain('secret-text')
  })

  it('refuses what is no token, and says so without repeating it', async () => {
    const { code, err } = await run(
      ['explain', '--policy', folderWith({ 'policy.yaml': POLICY })],
      'secret-text',
    )
    expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining('not compact jws') })
    expect(err).not.toContain('secret-text')
  })
})

describe('policy test', () => {
  const examples = (expectation: string) => `tests:
  - name: the main branch
    issuer: github
    claims: {repository_id: "123456", ref: refs/heads/main, sha: abc}
    request: {audience: https://payments.example.com}
    expect: ${expectation}
`
  const test = (expectation: string) =>
    run(['test', '--policy', folderWith({ 'policy.yaml': POLICY, 'a.test.yaml': examples(expectation) })])

  it.each(['{grant: payments-ci}', '{grant: payments-ci, scopes: [read], claims: {sha: abc}}'])(
    'passes where the policy does what is expected: %s',
    async (expectation) => {
      expect(await test(expectation)).toEqual({ code: 0, out: '1 passed, 0 failed\n', err: '' })
    },
  )

  it.each([
    '{grant: other}',
    '{grant: payments-ci, scopes: [read, write]}',
    '{grant: payments-ci, claims: {}}',
    '{refused: no_grant_matches}',
  ])('fails where it does not: %s', async (expectation) => {
    const { code, out } = await test(expectation)
    expect(code).toBe(1)
    expect(out).toMatch(/^failed \S+a\.test\.yaml: the main branch\n {2}expected .*, found .*payments-ci/)
    expect(out).toContain('0 passed, 1 failed')
  })

  it('compares scopes as a set and claims by name', async () => {
    const policy = POLICY.replace('claims: {sha: "{sha}"}', 'claims: {sha: "{sha}", ref: "{ref}"}')
    const expected = '{grant: payments-ci, scopes: [write, read], claims: {ref: refs/heads/main, sha: abc}}'
    const text = examples(expected).replace('.com}\n', '.com, scope: read write}\n')
    expect(
      await run(['test', '--policy', folderWith({ 'policy.yaml': policy, 'a.test.yaml': text })]),
    ).toEqual({
      code: 0,
      out: '1 passed, 0 failed\n',
      err: '',
    })
  })

  it('shows nothing of an example as it is', async () => {
    const text = examples('{grant: other}').replace('the main branch', '"\\e[2J\\u202e"')
    const folder = folderWith({ 'policy.yaml': POLICY, 'a.test.yaml': text })
    expect((await run(['test', '--policy', folder])).out).toContain(String.raw`\u{1b}[2J\u{202e}`)
  })

  it('says why an exchange that was expected is refused', async () => {
    const text = examples('{grant: payments-ci}').replace('refs/heads/main', 'refs/heads/other')
    const { out } = await run([
      'test',
      '--policy',
      folderWith({ 'policy.yaml': POLICY, 'a.test.yaml': text }),
    ])
    expect(out).toContain(
      'payments-ci: ref must be "refs/heads/main" or like "refs/tags/v*", found "refs/heads/other"',
    )
  })

  it.each([
    ['an issuer', 'issuer: github', 'issuer: githb', 'the policy has no issuer githb'],
    ['a client', 'issuer: github', 'client: nobody\n    issuer: github', 'the policy has no client nobody'],
  ])('fails for %s that the policy does not have', async (_of, from, to, why) => {
    const text = examples('{grant: payments-ci}').replace(from, to)
    const { code, out } = await run([
      'test',
      '--policy',
      folderWith({ 'policy.yaml': POLICY, 'a.test.yaml': text }),
    ])
    expect([code, out]).toEqual([1, expect.stringContaining(why)])
  })

  it.each([
    ['tests: []\n', 'allowed: a list of at least one example'],
    ['', 'allowed: a list of at least one example'],
    [
      examples('{grnt: payments-ci}'),
      'allowed: {grant: <id>, scopes: […], claims: {…}} or {refused: <reason>}',
    ],
    [
      examples('{grant: a}').replace('sha: abc', 'sha: .nan'),
      'claims.sha: found null; allowed: what JSON can say',
    ],
  ])('says what is allowed in an example file: %j', async (text, allowed) => {
    const { code, err } = await run([
      'test',
      '--policy',
      folderWith({ 'policy.yaml': POLICY, 'a.test.yaml': text }),
    ])
    expect([code, err]).toEqual([1, expect.stringContaining(allowed)])
    expect(err).not.toContain('Invalid input')
  })

  it('fails for a folder without examples', async () => {
    expect(await run(['test', '--policy', folderWith({ 'policy.yaml': POLICY })])).toMatchObject({ code: 1 })
  })

  it('names the place of a mistake in an example', async () => {
    const { code, err } = await test('{granted: payments-ci}')
    expect({ code, err }).toEqual({ code: 1, err: expect.stringMatching(/a\.test\.yaml:6:\d+/) })
  })

  it('holds for the policy that is deployed', async () => {
    expect(await run(['test'])).toEqual({
      code: 0,
      out: expect.stringMatching(/^\d\d passed, 0 failed\n$/),
      err: '',
    })
  })
})

describe('policy lint', () => {
  it('prints warnings with their places, and fails for one only when told to be strict', async () => {
    const wide = POLICY.replace('repository_id: "123456"', 'repository: octo-org/payments')
    const folder = folderWith({ 'policy.yaml': wide })
    const warning = new RegExp(
      `^warning ${folder}/policy\\.yaml:\\d+:\\d+ grants\\.payments-ci\\.when\\.repository: `,
    )
    expect(await run(['lint', '--policy', folder])).toEqual({
      code: 0,
      out: expect.stringMatching(warning),
      err: '',
    })
    const { code, out: strict } = await run(['lint', '--policy', folder, '--strict'])
    expect(code).toBe(1)
    expect(strict).toMatch(/: issuers 2, clients 0, targets 2, grants 1, warnings \d+\n$/)
    const { out } = await run(['lint', '--policy', folder, '--json'])
    expect(JSON.parse(out)).toMatchObject({ findings: [{ severity: 'warning', column: expect.any(Number) }] })
  })

  it('fails for an error with its place and what is allowed', async () => {
    const folder = folderWith({ 'policy.yaml': POLICY.replace('target: payments', 'target: payment') })
    const { code, err } = await run(['lint', '--policy', folder])
    expect(code).toBe(1)
    expect(err).toMatch(
      /policy\.yaml:\d+:\d+ grants\.payments-ci\.target: found "payment"; allowed: payments, ledger/,
    )
  })

  it('has nothing against the policy that is deployed', async () => {
    expect(await run(['lint', '--strict'])).toMatchObject({ code: 0 })
  })
})

describe('policy diff', () => {
  const identities = `identities:
  - {name: main, issuer: github, claims: {repository_id: "123456", ref: refs/heads/main, sha: a}}
  - {name: feature, issuer: github, claims: {repository_id: "123456", ref: refs/heads/feature, sha: a}}
  - {name: stranger, issuer: github, claims: {repository_id: "1", ref: refs/heads/main, sha: a}}
`
  const diff = (after: string, ...options: readonly string[]) => {
    const folder = folderWith({ 'identities.yml': identities })
    const [old, next] = [POLICY, after].map((text) => folderWith({ 'policy.yaml': text }))
    return run(['diff', old ?? '', next ?? '', '--identities', join(folder, 'identities.yml'), ...options])
  }

  it('says who gains what', async () => {
    expect(await diff(POLICY.replace('"refs/tags/v*"', '"refs/**"'))).toEqual({
      code: 0,
      out: `+ feature gains https://payments.example.com
    is  read write (by default read), 300 s, by payments-ci
changes: 1, identities: 3
`,
      err: '',
    })
  })

  it('says who loses what, and whose access changes', async () => {
    const { out } = await diff(POLICY.replace('scopes: [read, write]\n', 'scopes: [read]\n'))
    expect(out).toContain(
      '~ main changes at https://payments.example.com\n    was read write (by default read), 300 s, by payments-ci\n    is  read, 300 s',
    )
    expect((await diff(POLICY.replace('"123456"', '"1"'))).out).toContain(
      '- main loses https://payments.example.com',
    )
  })

  it.each([
    [
      'what a request without scope gets',
      ['default_scopes: [read]', 'default_scopes: [write]'],
      'is  read write (by default write)',
    ],
    ['that there are no defaults', ['default_scopes: [read]', 'default_scopes: []'], '(by default none)'],
    [
      'the longest lifetime of the target',
      ['scopes: [read, write], resources', 'token: {max_lifetime: 1m}, scopes: [read, write], resources'],
      'is  read write (by default read), 60 s',
    ],
    [
      'a binding',
      [
        'audience: https://payments.example.com,',
        'audience: https://payments.example.com, token: {binding: dpop},',
      ],
      'target.binding was "none", is "dpop"',
    ],
    [
      'a mapped claim',
      ['{sha: "{sha}"}', '{sha: "{sha}", on: "{ref}"}'],
      'claims.on was nothing, is "refs/heads/main"',
    ],
    ['a rate', ['lifetime: 5m', 'rate: {limit: 9, per: 1m, by: subject}'], 'rate.limit was nothing, is 9'],
    [
      'how often a token can be used',
      ['max_lifetime: 10m', 'replay: reusable'],
      'replay was "single-use", is "reusable"',
    ],
    [
      'the target of a request that names none',
      ['max_lifetime: 10m', 'default_target: payments'],
      '+ main gains a request without a target',
    ],
    [
      'an audience that the issuer’s tokens no longer may have',
      ['audiences: [https://broker.example.com]', 'audiences: [https://elsewhere.example]'],
      '- main loses https://payments.example.com',
    ],
    [
      'another issuer of the tokens',
      ['github-actions,', 'github-actions, issuer: https://ghe.example,'],
      '- main loses https://payments.example.com',
    ],
  ] as const)('says %s', async (_what, [from, to], line) => {
    expect(POLICY).toContain(from)
    expect((await diff(POLICY.replace(from, to))).out).toContain(line)
  })

  it('finds none where tokens may only live shorter: how long they do, no policy says', async () => {
    expect((await diff(POLICY.replace('max_lifetime: 10m', 'max_lifetime: 5m'))).out).toContain('changes: 0,')
  })

  it('shows what the token that is exchanged onward leaves', async () => {
    const onward = (scopes: string) =>
      POLICY.replace(
        /grants:.*/s,
        `grants:
  onward:
    issuer: broker
    when: {aud: https://ledger.example.com}
    target: payments
    scopes: ${scopes}
`,
      )
    const folder = folderWith({
      'who.yaml':
        'identities: [{name: us, issuer: broker, claims: {aud: https://ledger.example.com, scope: read}}]',
    })
    const folders = ['[read]', '[read, write]'].map((scopes) => folderWith({ 'policy.yaml': onward(scopes) }))
    const identitiesFile = ['--identities', join(folder, 'who.yaml')]
    expect((await run(['diff', ...folders, ...identitiesFile])).out).toBe('changes: 0, identities: 1\n')
  })

  it('tells machines everything, named as in policy files, in ASCII', async () => {
    const { out } = await diff(POLICY.replace('{sha: "{sha}"}', '{sha: "→ {sha}"}'), '--json')
    expect(out).toMatch(/^[\x20-\x7e\n]+$/)
    const { changes } = JSON.parse(out) as { changes: object[] }
    expect(changes).toMatchObject([
      {
        identity: 'main',
        audience: 'https://payments.example.com',
        before: { default_scopes: ['read'], lifetime_seconds: 300, claims: { sha: 'a' } },
        after: { claims: { sha: '→ a' } },
      },
    ])
  })

  it('finds no difference between a policy and itself', async () => {
    expect((await diff(POLICY)).out).toBe('changes: 0, identities: 3\n')
    expect(JSON.parse((await diff(POLICY, '--json')).out)).toEqual({ changes: [] })
  })

  it.each([
    ['[{name: a, issuer: nobody}]', 'a: neither policy has the issuer nobody'],
    ['[{name: a, issuer: github, client: nobody}]', 'a: neither policy has the client nobody'],
    ['[]', 'allowed: a list of at least one identity'],
  ])('finds no peace in identities that say nothing: %s', async (list, message) => {
    const folder = folderWith({ 'policy.yaml': POLICY })
    const file = join(folderWith({ 'who.yaml': `identities: ${list}\n` }), 'who.yaml')
    const { code, err } = await run(['diff', folder, folder, '--identities', file])
    expect([code, err]).toEqual([1, expect.stringContaining(message)])
  })

  it('is told which folders and whose access to compare', async () => {
    expect(await run(['diff', 'policy'])).toMatchObject({ code: 2 })
    expect(await run(['diff', 'policy', 'policy'])).toMatchObject({ code: 2 })
  })
})
