import { compilePolicy } from '../../../functions/core/policy/compile.ts'
import type { CompiledPolicy } from '../../../functions/core/policy/compiled.ts'
import type { PolicyFile, PolicyFinding } from '../../../functions/core/policy/finding.ts'

type Fields = Readonly<Record<string, unknown>>

/** A small policy without fault: one of everything. Tests change one thing each. */
export const GITHUB = deepFreeze({
  preset: 'github-actions',
  audiences: ['https://broker.example.com'],
  replay: 'single-use',
})
export const PAYMENTS = deepFreeze({
  audience: 'https://payments.example.com',
  resources: ['https://payments.example.com/v1'],
  scopes: ['payments.read', 'payments.write'],
})
export const PAYMENTS_CI = deepFreeze({
  issuer: 'github',
  when: { repository_id: '123456', ref: ['refs/heads/main', 'refs/tags/v*'] },
  target: 'payments',
  scopes: ['payments.read', 'payments.write'],
  default_scopes: ['payments.read'],
  claims: { repository: '{repository}' },
})
export const CHECKOUT = deepFreeze({
  authentication: { method: 'private_key_jwt', jwks_uri: 'https://checkout.example.com/jwks' },
  introspects: ['payments'],
})
export const POLICY = deepFreeze({
  issuers: { github: GITHUB },
  targets: { payments: PAYMENTS },
  grants: { 'payments-ci': PAYMENTS_CI },
})

/** A file whose places are made up from the path, so that tests can tell them apart. */
export function policyFile(document: unknown, name = 'policy.yaml'): PolicyFile {
  return { name, document: deepFreeze(document), locate: (path) => ({ line: path.length, column: 1 }) }
}

export function withIssuer(changes: Fields, id = 'github'): Fields {
  return { ...POLICY, issuers: { ...POLICY.issuers, [id]: { ...GITHUB, ...changes } } }
}

export function withTarget(changes: Fields, id = 'payments'): Fields {
  return { ...POLICY, targets: { ...POLICY.targets, [id]: { ...PAYMENTS, ...changes } } }
}

export function withClient(changes: Fields, id = 'checkout'): Fields & { readonly clients: Fields } {
  return { ...POLICY, clients: { [id]: { ...CHECKOUT, ...changes } } }
}

export function withGrant(changes: Fields, id = 'payments-ci'): Fields {
  return { ...POLICY, grants: { ...POLICY.grants, [id]: { ...PAYMENTS_CI, ...changes } } }
}

/** The policy, where there must be no finding. */
export function compiled(...documents: readonly unknown[]): CompiledPolicy {
  const files = documents.map((document, at) => policyFile(document, `${at}.yaml`))
  const result = compilePolicy(files, { loopbackIssuers: false, mutualTls: true })
  if ('policy' in result) return result.policy
  throw new Error(`unexpected findings: ${findingsIn(...documents).join()}`)
}

/** The findings as `path: message`, empty where the policy compiles. */
export function findingsIn(...documents: readonly unknown[]): readonly string[] {
  return fullFindingsIn(...documents).map(({ path, message }) => `${path}: ${message}`)
}

export function fullFindingsIn(...documents: readonly unknown[]): readonly PolicyFinding[] {
  const files = documents.map((document, at) => policyFile(document, `${at}.yaml`))
  const result = compilePolicy(files, { loopbackIssuers: false, mutualTls: true })
  return 'findings' in result ? result.findings : []
}

export function deepFreeze<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    Object.values(value).forEach(deepFreeze)
  }
  return value
}
