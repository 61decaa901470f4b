import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { KMSClient } from '@aws-sdk/client-kms'
import { S3Client } from '@aws-sdk/client-s3'
import { STSClient } from '@aws-sdk/client-sts'
import { AWS_CLIENT, BACKGROUND_AWS_CLIENT } from './adapters/aws-client.ts'
import { brokerClient } from './adapters/broker-client.ts'
import { BrokerIssuerKeys } from './adapters/broker-issuer-keys.ts'
import { CachedKeyManifests } from './adapters/cached-key-manifests.ts'
import { DelegatedSigner } from './adapters/delegated-signer.ts'
import { DelegatedSigningKeys } from './adapters/delegated-signing-keys.ts'
import { DynamoDbChainHints } from './adapters/dynamodb-chain-hints.ts'
import { DynamoDbExchangeLedger } from './adapters/dynamodb-exchange-ledger.ts'
import { DynamoDbKeyManifests } from './adapters/dynamodb-key-manifests.ts'
import { DynamoDbOneTimeLedger } from './adapters/dynamodb-one-time-ledger.ts'
import { DynamoDbRatePermits } from './adapters/dynamodb-rate-permits.ts'
import { DynamoDbReferenceTokens } from './adapters/dynamodb-reference-tokens.ts'
import { DynamoDbRevocationRegister } from './adapters/dynamodb-revocation-register.ts'
import { DynamoDbRevocationStore } from './adapters/dynamodb-revocation-store.ts'
import { DynamoDbStatusCounter } from './adapters/dynamodb-status-counter.ts'
import { DynamoDbStatusEntries } from './adapters/dynamodb-status-entries.ts'
import { jsonFetcher } from './adapters/fetch-json.ts'
import { FetchedIssuerKeys } from './adapters/fetched-issuer-keys.ts'
import { KmsDpopNonces } from './adapters/kms-dpop-nonces.ts'
import { KmsKeyAttester } from './adapters/kms-key-attester.ts'
import { KmsSigner } from './adapters/kms-signer.ts'
import { KmsSigningKeyFactory } from './adapters/kms-signing-key-factory.ts'
import { KmsSigningKeyInventory } from './adapters/kms-signing-key-inventory.ts'
import { KmsSoleKey } from './adapters/kms-sole-key.ts'
import { KmsWrapping } from './adapters/kms-wrapping.ts'
import { LambdaInvoker } from './adapters/lambda-invoker.ts'
import { LeasedStatusIndices } from './adapters/leased-status-indices.ts'
import { RingSigner } from './adapters/ring-signer.ts'
import { S3AuditObjects } from './adapters/s3-audit-objects.ts'
import { STS_CLIENT, StsCredentialIssuer } from './adapters/sts-credential-issuer.ts'
import { auditLinkOf, objectKey } from './core/audit-chain.ts'
import { checkpointLinkOf } from './core/audit-checkpoint.ts'
import type { ExchangeDependencies } from './core/exchange.ts'
import type { IntrospectionDependencies } from './core/introspection.ts'
import { DELEGATED_RING, KMS_RINGS, keyTimesFor } from './core/key-times.ts'
import { LIMITS } from './core/limits.ts'
import type { CompiledPolicy } from './core/policy/compiled.ts'
import { indexPolicy, type PolicyIndex } from './core/policy/decide.ts'
import { withProbe } from './core/policy/probe.ts'
import { isAwsTarget } from './core/policy/target-kinds.ts'
import type { DpopNonces, ProbeKey, Signer } from './core/ports.ts'
import type { StatusWorld } from './core/status-list-token.ts'
import type { RevocationDependencies } from './core/token-revocation.ts'
import type { HandOver } from './exchange/serve-token.ts'
import { ChainWriter } from './export-audit/chain-writer.ts'
import type { AuditExport } from './export-audit/export-audit.ts'
import type { Documents } from './jwks/serve-documents.ts'
import type { Probe } from './probe/probe.ts'
import type { KeyPeriods } from './rotate-keys/key-age.ts'
import type { KeyRotation } from './rotate-keys/reconcile.ts'
import {
  readAwsEndpoint,
  readLocalIssuers,
  readOptionalSetting,
  readSeconds,
  readSettings,
  type Settings,
} from './settings.ts'
import type { Telemetry } from './telemetry.ts'

/** The only place that builds adapters. Each function builds what it needs, once per environment. */

export const epochSeconds = () => Math.floor(Date.now() / 1000)
const randomId = () => randomBytes(16).toString('base64url')
const randomSecret = () => randomBytes(32).toString('base64url')

const EXCHANGE_SETTINGS = [
  'issuer',
  'stage',
  'exchangesTable',
  'revocationsTable',
  'signingKeysTable',
  'limitsTable',
  'statusTable',
] as const

type ExchangeWorld = ExchangeDependencies & { readonly stage: string }

/** Told of each failed attempt to read somebody's keys. */
type KeysFailed = Telemetry['keysFailed']

/** Tokens alone: what asks for AWS credentials is handed over to the function that may start sessions, if there is one. */
export function composeExchange(
  onFailure?: KeysFailed,
): ExchangeWorld & { readonly handOver: HandOver | undefined } {
  const functionArn = readOptionalSetting('awsCredentialsFunction')
  const invoker = functionArn === undefined ? undefined : new LambdaInvoker(functionArn, readAwsEndpoint())
  return {
    ...composeExchanging(readPolicy, onFailure),
    handOver: invoker && ((event) => invoker.invoke(event)),
  }
}

/** Sessions of AWS roles alone: of the policy's targets this function knows no others. */
export function composeCredentials(onFailure?: KeysFailed): ExchangeWorld {
  const policy = readBundledPolicy()
  const ofRoles = indexPolicy({ ...policy, targets: policy.targets.filter(isAwsTarget) })
  return {
    ...composeExchanging(() => ofRoles, onFailure),
    credentials: new StsCredentialIssuer(new STSClient(STS_CLIENT)),
  }
}

function composeExchanging(
  policyFor: (issuer: string) => PolicyIndex,
  onFailure: KeysFailed | undefined,
): ExchangeWorld {
  const settings = readSettings(EXCHANGE_SETTINGS)
  const dynamoDb = new DynamoDBClient(AWS_CLIENT)
  const manifests = new CachedKeyManifests(
    new DynamoDbKeyManifests(dynamoDb, settings.signingKeysTable),
    Date.now,
  )
  const counter = new DynamoDbStatusCounter(dynamoDb, settings.statusTable)
  const standIns = readLocalIssuers()
  const fetchJson = jsonFetcher({ allowLoopback: standIns !== undefined })
  return {
    stage: settings.stage,
    issuer: settings.issuer,
    policy: policyFor(settings.issuer),
    issuerKeys: new BrokerIssuerKeys(
      manifests,
      new FetchedIssuerKeys(fetchJson, epochSeconds, { standIns, onFailure }),
    ),
    clientKeys: new FetchedIssuerKeys(fetchJson, epochSeconds, { onFailure }),
    oneTime: new DynamoDbOneTimeLedger(dynamoDb, settings.exchangesTable),
    ledger: new DynamoDbExchangeLedger(dynamoDb, settings.exchangesTable),
    mtlsUrl: readOptionalSetting('mtlsUrl'),
    nonces: composeNonces(settings.issuer),
    permits: new DynamoDbRatePermits(dynamoDb, settings.limitsTable, Date.now),
    references: new DynamoDbReferenceTokens(dynamoDb, settings.exchangesTable),
    revocations: new DynamoDbRevocationStore(dynamoDb, settings.revocationsTable),
    statuses: new DynamoDbStatusEntries(dynamoDb, settings.statusTable),
    statusIndices: new LeasedStatusIndices(() => counter.leaseBlock(), Date.now),
    signer: composeSigner(settings, manifests),
    randomId,
    randomSecret,
  }
}

/** What makes nonces for DPoP proofs, where the policy asks for them. */
function composeNonces(issuer: string): DpopNonces | undefined {
  const keyArn = readOptionalSetting('nonceKeyArn')
  return keyArn === undefined ? undefined : new KmsDpopNonces(new KMSClient(AWS_CLIENT), keyArn, issuer)
}

export function composeStatus(): StatusWorld & { readonly stage: string } {
  const settings = readSettings(['issuer', 'stage', 'revocationsTable', 'signingKeysTable', 'statusTable'])
  const dynamoDb = new DynamoDBClient(AWS_CLIENT)
  const manifests = new CachedKeyManifests(
    new DynamoDbKeyManifests(dynamoDb, settings.signingKeysTable),
    Date.now,
  )
  return {
    stage: settings.stage,
    issuer: settings.issuer,
    entries: new DynamoDbStatusEntries(dynamoDb, settings.statusTable),
    revocations: new DynamoDbRevocationStore(dynamoDb, settings.revocationsTable),
    signer: new KmsSigner(new KMSClient(AWS_CLIENT), manifests),
  }
}

function composeSigner(
  { issuer, stage }: { issuer: string; stage: string },
  manifests: CachedKeyManifests,
): Signer {
  const kms = new KMSClient(AWS_CLIENT)
  const wrapping = composeWrapping(kms, stage)
  const rotationSeconds = () => readSeconds(readSettings(['delegatedKeySeconds']), 'delegatedKeySeconds')
  return new RingSigner(
    new KmsSigner(kms, manifests),
    wrapping && new DelegatedSigner(wrapping, manifests, { issuer, rotationSeconds: rotationSeconds() }),
    manifests,
  )
}

/** The key under which delegated keys are made, where the policy asks for them. */
function composeWrapping(kms: KMSClient, stage: string): KmsWrapping | undefined {
  const keyArn = readOptionalSetting('wrappingKeyArn')
  return keyArn === undefined ? undefined : new KmsWrapping(kms, keyArn, stage)
}

export function composeIntrospection(
  onFailure?: KeysFailed,
): IntrospectionDependencies & { readonly stage: string } {
  const settings = readSettings(['issuer', 'stage', 'exchangesTable', 'revocationsTable', 'signingKeysTable'])
  const parts = composeOwnTokens(settings, onFailure)
  return {
    ...parts.world,
    stage: settings.stage,
    revocations: new DynamoDbRevocationStore(parts.dynamoDb, settings.revocationsTable),
    signer: new KmsSigner(new KMSClient(AWS_CLIENT), parts.manifests),
  }
}

export function composeRevocation(
  onFailure?: KeysFailed,
): RevocationDependencies & { readonly stage: string } {
  const settings = readSettings(['issuer', 'stage', 'exchangesTable', 'revocationsTable', 'signingKeysTable'])
  const { world, dynamoDb } = composeOwnTokens(settings, onFailure)
  return {
    ...world,
    stage: settings.stage,
    register: new DynamoDbRevocationRegister(dynamoDb, settings.revocationsTable),
  }
}

/** What it takes to know clients and our own tokens. */
function composeOwnTokens(
  settings: Settings<'issuer' | 'exchangesTable' | 'signingKeysTable'>,
  onFailure: KeysFailed | undefined,
) {
  const dynamoDb = new DynamoDBClient(AWS_CLIENT)
  const manifests = new CachedKeyManifests(
    new DynamoDbKeyManifests(dynamoDb, settings.signingKeysTable),
    Date.now,
  )
  const fetchJson = jsonFetcher({ allowLoopback: readLocalIssuers() !== undefined })
  const clientKeys = new FetchedIssuerKeys(fetchJson, epochSeconds, { onFailure })
  const world = {
    issuer: settings.issuer,
    policy: readPolicy(settings.issuer),
    // Nobody else's tokens are verified here.
    issuerKeys: new BrokerIssuerKeys(manifests, { find: async () => undefined }),
    clientKeys,
    oneTime: new DynamoDbOneTimeLedger(dynamoDb, settings.exchangesTable),
    references: new DynamoDbReferenceTokens(dynamoDb, settings.exchangesTable),
    randomId,
  }
  return { world, dynamoDb, manifests }
}

export function composeDocuments(): Documents & { readonly stage: string } {
  const { issuer, stage, signingKeysTable } = readSettings(['issuer', 'stage', 'signingKeysTable'])
  const store = new DynamoDbKeyManifests(new DynamoDBClient(AWS_CLIENT), signingKeysTable)
  const cached = new CachedKeyManifests(store, Date.now, LIMITS.publishedManifestSeconds)
  return {
    issuer,
    mtlsUrl: readOptionalSetting('mtlsUrl'),
    stage,
    manifests: async () => {
      // Public and slow to change: while the table cannot be read, the last good manifests serve.
      const inKms = await Promise.all(KMS_RINGS.map((ring) => cached.lastGood(ring)))
      // After the others: a deployment that begins with delegated keys has promised them before the others were made.
      return { inKms, delegated: await cached.lastGood(DELEGATED_RING) }
    },
  }
}

export function composeKeyRotation(): KeyRotation & { readonly stage: string; readonly periods: KeyPeriods } {
  const settings = readSettings([
    'issuer',
    'stage',
    'signingKeysTable',
    'keyRotationSeconds',
    'delegatedKeySeconds',
    'verifierCacheSeconds',
  ])
  const kms = new KMSClient(AWS_CLIENT)
  const wrapping = composeWrapping(kms, settings.stage)
  const inKms = readSeconds(settings, 'keyRotationSeconds')
  const delegated = readSeconds(settings, 'delegatedKeySeconds')
  const verifierCacheSeconds = readSeconds(settings, 'verifierCacheSeconds')
  return {
    stage: settings.stage,
    periods: { RS256: inKms, ES256: inKms, [DELEGATED_RING]: delegated },
    store: new DynamoDbKeyManifests(new DynamoDBClient(AWS_CLIENT), settings.signingKeysTable),
    factory: new KmsSigningKeyFactory(kms, settings.stage),
    inventory: new KmsSigningKeyInventory(kms, settings.stage),
    times: keyTimesFor({ rotationSeconds: inKms, verifierCacheSeconds }),
    delegated: {
      times: keyTimesFor({ rotationSeconds: delegated, verifierCacheSeconds }),
      attester: new KmsKeyAttester(kms, settings.issuer, epochSeconds),
      keys: wrapping && new DelegatedSigningKeys(wrapping),
    },
    now: epochSeconds,
    randomId,
  }
}

export function composeAuditExport(): AuditExport & { readonly stage: string } {
  const settings = readSettings(['stage', 'auditTable', 'auditBucket', 'auditKey'])
  const objects = new S3AuditObjects(new S3Client(BACKGROUND_AWS_CLIENT), settings.auditBucket)
  const hints = new DynamoDbChainHints(new DynamoDBClient(BACKGROUND_AWS_CLIENT), settings.auditTable)
  const kms = new KMSClient(BACKGROUND_AWS_CLIENT)
  const keys = new KmsSigningKeyFactory(kms, settings.stage)
  return {
    stage: settings.stage,
    records: new ChainWriter({ name: 'audit', linkOf: auditLinkOf, objects, hints }),
    checkpoints: new ChainWriter({ name: 'checkpoints', linkOf: checkpointLinkOf, objects, hints }),
    checkpoint: (number) => objects.get(objectKey('checkpoints', number)),
    signer: new KmsSoleKey(kms, keys, settings.auditKey),
    now: epochSeconds,
    randomId,
  }
}

export function composeProbe(): Probe & { readonly stage: string; readonly key: ProbeKey } {
  const { issuer, stage, probeKey } = readSettings(['issuer', 'stage', 'probeKey'])
  const kms = new KMSClient(AWS_CLIENT)
  return {
    stage,
    issuer,
    key: new KmsSoleKey(kms, new KmsSigningKeyFactory(kms, stage), probeKey),
    send: brokerClient(issuer),
    now: epochSeconds,
    randomId,
  }
}

/** The policy to decide by. Throws if there is none: without it the function must not start. */
function readPolicy(issuer: string): PolicyIndex {
  const policy = readBundledPolicy()
  return indexPolicy(readOptionalSetting('probe') === undefined ? policy : withProbe(policy, issuer))
}

/** The policy that was compiled when the app was synthesized, beside the bundle. */
function readBundledPolicy(): CompiledPolicy {
  return JSON.parse(readFileSync(new URL('./policy.json', import.meta.url), 'utf8')) as CompiledPolicy
}
