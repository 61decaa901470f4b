import assert from 'node:assert/strict'
import fc from 'fast-check'
import { readDistinguishedName } from '../../functions/core/distinguished-name.ts'
import { verifyProof } from '../../functions/core/dpop-proof.ts'
import { isSameHttpUrl } from '../../functions/core/http-url.ts'
import { preparseJwt, preparseProof } from '../../functions/core/jwt-preparse.ts'
import { LIMITS } from '../../functions/core/limits.ts'
import { compilePolicy } from '../../functions/core/policy/compile.ts'
import { indexPolicy } from '../../functions/core/policy/decide.ts'
import { lintPolicy } from '../../functions/core/policy/lint.ts'
import { readProxyEvent } from '../../functions/http/event.ts'
import { readForm } from '../../functions/http/form.ts'
import { parsePolicyFile } from '../../lib/policy-yaml.ts'
import { AttackedBroker } from '../attacks/broker.ts'
import { DELEGATION } from '../attacks/delegation-policy.ts'
import { printedBy } from '../support/printed.ts'
import { anyEvent, NASTY_EVENTS } from './events.ts'
import { NASTY_POLICIES, policyText } from './policies.ts'
import { hostileCompact, hostileProof, NASTY_TOKENS, nearName, PROOF_TIME, PROOF_URL } from './tokens.ts'

/** Something that anybody may hand anything: it must come back, with an answer of its kind. */
export interface FuzzTarget {
  readonly name: string
  readonly input: fc.Arbitrary<unknown>
  /** Tried before anything is drawn. */
  readonly nasty: readonly unknown[]
  /** Throws if the answer is not of its kind. */
  readonly check: (input: never) => void | Promise<void>
}

export const FUZZ_TARGETS: readonly FuzzTarget[] = [
  {
    name: 'the pre-parser of tokens',
    input: fc.oneof(hostileCompact, fc.string({ unit: 'binary', maxLength: 200 })),
    nasty: NASTY_TOKENS,
    check: checkToken,
  },
  {
    name: 'the verifier of DPoP proofs',
    input: fc.oneof(hostileCompact, hostileProof, fc.string({ unit: 'binary', maxLength: 200 })),
    nasty: NASTY_TOKENS,
    check: checkProof,
  },
  {
    name: 'the reader of URLs and names',
    input: fc.oneof(fc.webUrl(), fc.string({ unit: 'binary', maxLength: 100 }), nearName),
    nasty: ['https:', 'https://a/%', 'CN=\\\\', 'CN=\\e4', `${'/..'.repeat(9999)}`],
    check: checkText,
  },
  { name: 'the parser of forms', input: anyEvent, nasty: NASTY_EVENTS, check: checkForm },
  { name: 'the compiler of policies', input: policyText, nasty: NASTY_POLICIES, check: checkPolicy },
  { name: 'the token endpoint', input: anyEvent, nasty: NASTY_EVENTS, check: checkHandler },
]

function checkToken(compact: string): void {
  const read = preparseJwt(compact)
  if (typeof read === 'string') return
  assert.ok(compact.length <= LIMITS.tokenBytes)
  assert.equal(`${read.signingInput}.${compact.split('.')[2]}`, read.compact)
  assert.equal(Object.getPrototypeOf(read.claims), null)
}

/** Nobody has the keys of these: whatever they are, none is believed. */
async function checkProof(compact: string): Promise<void> {
  const read = preparseProof(compact)
  if (typeof read !== 'string') assert.ok(compact.length <= LIMITS.proofBytes)
  const request = { method: 'POST', urls: [PROOF_URL], token: 'token' }
  assert.equal(typeof (await verifyProof([compact], request, PROOF_TIME)), 'string')
}

function checkText(text: string): void {
  if (isSameHttpUrl(text, text)) assert.ok(URL.canParse(text) && /^https?:\/\//i.test(text))
  const name = readDistinguishedName(text)
  if (name !== undefined) assert.ok(Array.isArray(JSON.parse(name)))
}

function checkForm(event: unknown): void {
  const form = readForm(readProxyEvent(event))
  if ('refused' in form) return
  assert.ok(form.length <= LIMITS.parameters)
  const characters = form.reduce((sum, [name, value]) => sum + name.length + value.length, 0)
  assert.ok(characters <= LIMITS.bodyBytes)
  assert.ok(!form.flat().some((text) => text.includes('\0')))
}

function checkPolicy(text: string): void {
  const parsed = parsePolicyFile('policy.yaml', text)
  const isPart = 'findings' in parsed
  const file = isPart ? parsed.rest : parsed.file
  const result = compilePolicy([file], { loopbackIssuers: false, isPart })
  if (isPart) {
    assert.ok(parsed.findings.length > 0)
    for (const finding of parsed.findings) checkFinding(finding)
  }
  if ('policy' in result) {
    indexPolicy(JSON.parse(JSON.stringify(result.policy)))
    for (const warning of lintPolicy([file], result.policy)) checkFinding(warning)
  }
  if (!('findings' in result)) return
  assert.ok(isPart || result.findings.length > 0)
  for (const finding of result.findings) checkFinding(finding)
}

function checkFinding(finding: {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly message: string
}): void {
  assert.equal(finding.file, 'policy.yaml')
  assert.ok(Number.isInteger(finding.line) && finding.line >= 1)
  assert.ok(Number.isInteger(finding.column) && finding.column >= 1)
  assert.match(finding.message, /^found /)
}

const STATUSES = [200, 400, 401, 405, 413, 415]

async function checkHandler(event: unknown): Promise<void> {
  const broker = new AttackedBroker({ policy: DELEGATION })
  const { result, printed } = await printedBy(() => broker.handler(event, {}))
  assert.ok(STATUSES.includes(result.statusCode), `status ${result.statusCode}`)
  assert.match(String(result.headers['x-correlation-id']), /^[\w=-]{1,128}$/)
  assert.ok(result.body.length < 8192 && printed.length < 8192)
  const lines = printed
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { readonly message?: string })
  assert.deepEqual(
    lines.map(({ message }) => message ?? 'metrics'),
    result.statusCode === 200 ? ['metrics'] : ['refused', 'metrics'],
  )
}
