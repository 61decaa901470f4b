import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { App } from 'aws-cdk-lib/core'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { stringify } from 'yaml'
import { makeClientSecret } from '../../../functions/core/client-secret.ts'
import { addBrokerStacks } from '../../../lib/broker-app.ts'
import { parseConfig } from '../../../lib/config.ts'
import { projectContext } from '../../../lib/project-context.ts'
import { basic } from '../../support/clients.ts'

const ISSUER = 'https://issuer.example.com'
const BROKER_AUDIENCE = 'https://broker.example.com'
const KID = 'conformance'
const LIFETIME_SECONDS = 300

/** A target, and how its tokens are signed. */
export interface DeployedTarget {
  readonly id: string
  readonly audience: string
  readonly algorithm: 'RS256' | 'ES256'
  readonly signing: 'kms' | 'delegated'
}

const TARGETS: readonly DeployedTarget[] = [
  { id: 'rsa', audience: 'https://rsa.example.com', algorithm: 'RS256', signing: 'kms' },
  { id: 'ecdsa', audience: 'https://ecdsa.example.com', algorithm: 'ES256', signing: 'kms' },
  { id: 'delegated', audience: 'https://delegated.example.com', algorithm: 'ES256', signing: 'delegated' },
]

/** What is deployed, and what can be exchanged there. */
export interface Deployment {
  /** The cloud assembly, for `cdk deploy --app`. */
  readonly assemblyFolder: string
  /** What of it can be deployed there: not the alarms, since MiniStack knows neither composites nor metric math. */
  readonly stacks: readonly string[]
  /** One for each ring of keys. */
  readonly targets: readonly DeployedTarget[]
  /** `Authorization` of a client that introspects and revokes the tokens for all of them. */
  readonly authorization: string
  /** A fresh token of the one issuer that the policy trusts. */
  subjectToken(): Promise<string>
}

/**
 * Synthesizes the stacks with a policy that trusts one issuer by keys written into it: the deployed functions fetch issuer
 * keys over https and from public addresses only, and neither is to be had here.
 */
export async function synthesizeDeployment(folder: string): Promise<Deployment> {
  const { publicKey, privateKey } = await generateKeyPair('RS256', { extractable: true })
  const { secret, digest } = makeClientSecret(randomBytes)
  const policyFolder = join(folder, 'policy')
  mkdirSync(policyFolder)
  const jwk = { ...(await exportJWK(publicKey)), kid: KID, alg: 'RS256' }
  writeFileSync(
    join(policyFolder, 'policy.yaml'),
    stringify(policyFor(jwk, digest), { aliasDuplicateObjects: false }),
  )
  return {
    ...synthesizeInto(join(folder, 'cdk.out'), policyFolder),
    targets: TARGETS,
    authorization: basic('conformance', secret),
    subjectToken: async () =>
      new SignJWT({ jti: crypto.randomUUID() })
        .setProtectedHeader({ alg: 'RS256', kid: KID })
        .setIssuer(ISSUER)
        .setAudience(BROKER_AUDIENCE)
        .setSubject('conformance')
        .setIssuedAt()
        .setExpirationTime(`${LIFETIME_SECONDS}s`)
        .sign(privateKey),
  }
}

function policyFor(jwk: object, digest: string): object {
  const byId = (part: (target: DeployedTarget) => object) =>
    Object.fromEntries(TARGETS.map((target) => [target.id, part(target)]))
  const ids = TARGETS.map(({ id }) => id)
  return {
    issuers: {
      own: {
        issuer: ISSUER,
        keys: { jwks: { keys: [jwk] } },
        algorithms: ['RS256'],
        audiences: [BROKER_AUDIENCE],
        replay: 'single-use',
      },
    },
    clients: {
      conformance: {
        authentication: { method: 'client_secret_basic', secret_digests: [digest] },
        introspects: ids,
        revokes: ids,
      },
    },
    targets: byId(({ audience, algorithm, signing }) => ({
      audience,
      scopes: ['read'],
      token: { algorithm, signing },
    })),
    grants: byId(({ id }) => ({
      issuer: 'own',
      when: { sub: 'conformance' },
      target: id,
      scopes: ['read'],
      default_scopes: ['read'],
    })),
  }
}

function synthesizeInto(outdir: string, policyFolder: string): Pick<Deployment, 'assemblyFolder' | 'stacks'> {
  const context = projectContext()
  // MiniStack has no CodeDeploy.
  const config = parseConfig({ ...(context['broker'] as object), policyFolder, rollout: 'all-at-once' })
  const app = new App({ outdir, context, builtinCloudFormationValidation: false, analyticsReporting: false })
  const { state, service } = addBrokerStacks(app, config, { loopbackIssuers: false })
  app.synth()
  return { assemblyFolder: outdir, stacks: [state.stackName, service.stackName] }
}
