import { preparseJwt } from '../../functions/core/jwt-preparse.ts'
import { compilePolicy } from '../../functions/core/policy/compile.ts'
import type { CompiledPolicy, Target } from '../../functions/core/policy/compiled.ts'
import {
  decideGrant,
  indexPolicy,
  type PolicyIndex,
  resolveTarget,
} from '../../functions/core/policy/decide.ts'
import type { IssuerId, JsonObject } from '../../functions/core/types.ts'
import { median } from './statistics.ts'

/** What the policy and the reading of a token may cost. */
export const POLICY_LIMITS = {
  /** For a policy of {@link GRANTS} grants, from its documents to what is bundled. */
  compileSeconds: 2,
  /** For one decision among them. */
  decisionMicroseconds: 50,
  /** For reading a token, finding its target and deciding, together. */
  preparseAndDecideMilliseconds: 0.3,
} as const

const GRANTS = 10_000
const SAMPLES = 5
const BATCH = 1000

/** One issuer and one target for all of them: the case in which most grants could be candidates. */
function documentOf(grants: number) {
  return {
    issuers: {
      ci: {
        issuer: 'https://ci.example.com',
        algorithms: ['RS256'],
        audiences: ['https://broker.example.com'],
      },
    },
    targets: { payments: { audience: 'https://payments.example.com', scopes: ['payments.read'] } },
    grants: Object.fromEntries(
      Array.from({ length: grants }, (_, n) => [
        `grant-${n}`,
        {
          issuer: 'ci',
          target: 'payments',
          when: { repository_id: String(100_000 + n), ref: ['refs/heads/main', 'refs/tags/v*'] },
          scopes: ['payments.read'],
          claims: { repository: '{repository}' },
        },
      ]),
    ),
  }
}

function compile(document: object): CompiledPolicy {
  const file = { name: 'bench.yaml', document, locate: () => ({ line: 1, column: 1 }) }
  const result = compilePolicy([file], { loopbackIssuers: false })
  if ('findings' in result) throw new Error(result.findings.map(({ message }) => message).join())
  return result.policy
}

/** A token as long as those of CI systems are. */
function tokenFor(grant: number): string {
  const claims = {
    ...Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`claim_${n}`, `value of claim ${n}`])),
    iss: 'https://ci.example.com',
    sub: 'repo:octo/pay:ref:refs/heads/main',
    aud: 'https://broker.example.com',
    repository_id: String(100_000 + grant),
    ref: 'refs/heads/main',
  }
  const parts = [{ alg: 'RS256', typ: 'JWT', kid: 'key-1' }, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  )
  return [...parts, Buffer.alloc(256, 7).toString('base64url')].join('.')
}

/** Figures of policy alone: no AWS, no HTTP, no signature. Medians of several samples, of many rounds each. */
export function measurePolicy() {
  const document = documentOf(GRANTS)
  const policy = compile(document)
  const index = indexPolicy(policy)
  const targetOf = () =>
    resolveTarget(index, { audiences: ['https://payments.example.com'], resources: [], issuer: {} }) as Target
  const tokens = Array.from({ length: BATCH }, (_, n) => tokenFor((n * 7919) % GRANTS))
  const claims = tokens.map(claimsIn)
  const compileSeconds = sample(() => void compile(document)) / 1000
  const target = targetOf()
  const decisionMilliseconds =
    sample(() => {
      for (const each of claims) mustDecide(index, target, each)
    }) / BATCH
  const both =
    sample(() => {
      for (const token of tokens) mustDecide(index, targetOf(), claimsIn(token))
    }) / BATCH
  return {
    grants: GRANTS,
    compileSeconds,
    decisionMicroseconds: decisionMilliseconds * 1000,
    preparseAndDecideMilliseconds: both,
  }
}

export type PolicyFigures = ReturnType<typeof measurePolicy>

/** Lines for people. */
export function reportPolicy(figures: PolicyFigures): readonly string[] {
  const { grants, compileSeconds, decisionMicroseconds, preparseAndDecideMilliseconds } = figures
  return [
    `policy of ${grants} grants for one issuer and target`,
    `  compiled in                   ${compileSeconds.toFixed(2)} s  (at most ${POLICY_LIMITS.compileSeconds})`,
    `  one decision                  ${decisionMicroseconds.toFixed(1)} us  (at most ${POLICY_LIMITS.decisionMicroseconds})`,
    `  reading a token and deciding  ${preparseAndDecideMilliseconds.toFixed(3)} ms  (at most ${POLICY_LIMITS.preparseAndDecideMilliseconds})`,
  ]
}

/** Whether each figure is within its limit. */
export function keepsPolicyPromises(figures: PolicyFigures): boolean {
  return (Object.keys(POLICY_LIMITS) as (keyof typeof POLICY_LIMITS)[]).every(
    (name) => figures[name] <= POLICY_LIMITS[name],
  )
}

function claimsIn(token: string): JsonObject {
  const read = preparseJwt(token)
  if (typeof read === 'string') throw new Error(read)
  return read.claims
}

function mustDecide(index: PolicyIndex, target: Target, claims: JsonObject): void {
  const decision = decideGrant(index, { issuerId: 'ci' as IssuerId, claims, target })
  if ('kind' in decision) throw new Error(decision.kind)
}

/** The median CPU time in milliseconds, after one round that does not count. What else the machine does takes no part. */
function sample(work: () => void): number {
  work()
  return median(
    Array.from({ length: SAMPLES }, () => {
      const before = process.cpuUsage()
      work()
      const { user, system } = process.cpuUsage(before)
      return (user + system) / 1000
    }),
  )
}
