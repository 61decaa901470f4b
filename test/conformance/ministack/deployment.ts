import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { App } from 'aws-cdk-lib/core'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { stringify } from 'yaml'
import { addBrokerStacks } from '../../../lib/broker-app.ts'
import { parseConfig } from '../../../lib/config.ts'
import { projectContext } from '../../../lib/project-context.ts'

const ISSUER = 'https://issuer.example.com'
const BROKER_AUDIENCE = 'https://broker.example.com'
const KID = 'conformance'
const LIFETIME_SECONDS = 300

/** What is deployed, and what can be exchanged there. */
export interface Deployment {
  /** The cloud assembly, for `cdk deploy --app`. */
  readonly assemblyFolder: string
  /** Audience of the one target for each algorithm. */
  readonly audiences: Readonly<Record<'RS256' | 'ES256', string>>
  /** A fresh token of the one issuer that the policy trusts. */
  subjectToken(): Promise<string>
}

/**
 * Synthesizes the stacks with a policy that trusts one issuer by keys written into it: the deployed functions fetch issuer
 * keys over https and from public addresses only, and neither is to be had here.
 */
export async function synthesizeDeployment(folder: string): Promise<Deployment> {
  const { publicKey, privateKey } = await generateKeyPair('RS256', { extractable: true })
  const audiences = { RS256: 'https://rsa.example.com', ES256: 'https://ecdsa.example.com' } as const
  const policyFolder = join(folder, 'policy')
  mkdirSync(policyFolder)
  const jwk = { ...(await exportJWK(publicKey)), kid: KID, alg: 'RS256' }
  writeFileSync(
    join(policyFolder, 'policy.yaml'),
    stringify(policyFor(jwk, audiences), { aliasDuplicateObjects: false }),
  )
  return {
    assemblyFolder: synthesizeInto(join(folder, 'cdk.out'), policyFolder),
    audiences,
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

function policyFor(jwk: object, audiences: Deployment['audiences']): object {
  const when = { sub: 'conformance' }
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
    targets: {
      rsa: { audience: audiences.RS256, scopes: ['read'], token: { algorithm: 'RS256' } },
      ecdsa: { audience: audiences.ES256, scopes: ['read'], token: { algorithm: 'ES256' } },
    },
    grants: {
      rsa: { issuer: 'own', when, target: 'rsa', scopes: ['read'], default_scopes: ['read'] },
      ecdsa: { issuer: 'own', when, target: 'ecdsa', scopes: ['read'], default_scopes: ['read'] },
    },
  }
}

function synthesizeInto(outdir: string, policyFolder: string): string {
  const context = projectContext()
  const config = parseConfig({ ...(context['broker'] as object), policyFolder })
  const app = new App({ outdir, context, builtinCloudFormationValidation: false, analyticsReporting: false })
  addBrokerStacks(app, config, { loopbackIssuers: false })
  app.synth()
  return outdir
}
