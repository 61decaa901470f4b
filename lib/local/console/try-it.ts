import { BROKER, type CompiledPolicy } from '../../../functions/core/policy/compiled.ts'
import type { JsonObject } from '../assembly.ts'
import { DEMO_PRESETS } from '../demo-claims.ts'
import type { DemoIssuer, SignRequest } from '../demo-issuer.ts'
import { findExamples } from '../example-exchange.ts'
import type { Preset, TryIt } from './wire.ts'

/** Every token is to have fresh ones. */
const FRESH = ['iat', 'nbf', 'exp', 'jti']

/** What the page offers to try: an exchange for each grant that the demo issuer can serve, then every kind of token. */
export function tryItOf(policy: CompiledPolicy, demoIssuer: DemoIssuer, issuer: string): TryIt {
  const granted = findExamples(policy, demoIssuer).map(({ grant, signRequest, audience }) => ({
    name: `${grant}: allowed`,
    grant,
    audience,
    ...identityOf(signRequest, demoIssuer),
  }))
  const kinds = Object.keys(DEMO_PRESETS).map(
    (name): Preset => ({ name, ...identityOf({ preset: name }, demoIssuer) }),
  )
  const targets = policy.targets.map((target) => ({
    id: target.id,
    audience: target.audience,
    scopes: target.scopes,
    format: target.format,
    binding: target.format === 'aws-credentials' ? 'none' : target.binding,
    introspectedBy: policy.clients
      .filter(({ introspects }) => introspects.includes(target.id))
      .map((client) => client.id),
    isOnward: policy.grants.some((grant) => grant.issuer === BROKER && grant.target === target.id),
  }))
  return { issuer, presets: [...granted, ...kinds], targets }
}

function identityOf(request: SignRequest, demoIssuer: DemoIssuer): Pick<Preset, 'signer' | 'claims'> {
  const { preset, issuer } = request
  const claims = Object.entries(demoIssuer.claims(request)).filter(([name]) => !FRESH.includes(name))
  return {
    signer: { ...(preset !== undefined && { preset }), ...(issuer !== undefined && { issuer }) },
    claims: Object.fromEntries(claims) as JsonObject,
  }
}
