import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { KMSClient } from '@aws-sdk/client-kms'
import { S3Client } from '@aws-sdk/client-s3'
import { AWS_CLIENT, BACKGROUND_AWS_CLIENT } from './adapters/aws-client.ts'
import { BrokerIssuerKeys } from './adapters/broker-issuer-keys.ts'
import { CachedKeyManifests } from './adapters/cached-key-manifests.ts'
import { DynamoDbAssertionLedger } from './adapters/dynamodb-assertion-ledger.ts'
import { DynamoDbChainHints } from './adapters/dynamodb-chain-hints.ts'
import { DynamoDbExchangeLedger } from './adapters/dynamodb-exchange-ledger.ts'
import { DynamoDbKeyManifests } from './adapters/dynamodb-key-manifests.ts'
import { DynamoDbRevocationRegister } from './adapters/dynamodb-revocation-register.ts'
import { DynamoDbRevocationStore } from './adapters/dynamodb-revocation-store.ts'
import { jsonFetcher } from './adapters/fetch-json.ts'
import { FetchedIssuerKeys } from './adapters/fetched-issuer-keys.ts'
import { KmsCheckpointSigner } from './adapters/kms-checkpoint-signer.ts'
import { KmsSigner } from './adapters/kms-signer.ts'
import { KmsSigningKeyFactory } from './adapters/kms-signing-key-factory.ts'
import { KmsSigningKeyInventory } from './adapters/kms-signing-key-inventory.ts'
import { S3AuditObjects } from './adapters/s3-audit-objects.ts'
import { auditLinkOf, objectKey } from './core/audit-chain.ts'
import { checkpointLinkOf } from './core/audit-checkpoint.ts'
import type { ExchangeDependencies } from './core/exchange.ts'
import type { IntrospectionDependencies } from './core/introspection.ts'
import { keyTimesFor, RINGS } from './core/key-times.ts'
import { LIMITS } from './core/limits.ts'
import type { CompiledPolicy } from './core/policy/compiled.ts'
import { indexPolicy } from './core/policy/decide.ts'
import type { RevocationDependencies } from './core/token-revocation.ts'
import { ChainWriter } from './export-audit/chain-writer.ts'
import type { AuditExport } from './export-audit/export-audit.ts'
import type { Documents } from './jwks/serve-documents.ts'
import type { KeyRotation } from './rotate-keys/reconcile.ts'
import { readLocalIssuers, readSeconds, readSettings, type Settings } from './settings.ts'

/** The only place that builds adapters. Each function builds what it needs, once per environment. */

export const epochSeconds = () => Math.floor(Date.now() / 1000)
const randomId = () => randomBytes(16).toString('base64url')

export function composeExchange(): ExchangeDependencies & { readonly stage: string } {
  const settings = readSettings(['issuer', 'stage', 'exchangesTable', 'revocationsTable', 'signingKeysTable'])
  const dynamoDb = new DynamoDBClient(AWS_CLIENT)
  const manifests = new CachedKeyManifests(
    new DynamoDbKeyManifests(dynamoDb, settings.signingKeysTable),
    Date.now,
  )
  const standIns = readLocalIssuers()
  const fetchJson = jsonFetcher({ allowLoopback: standIns !== undefined })
  return {
    stage: settings.stage,
    issuer: settings.issuer,
    policy: indexPolicy(readBundledPolicy()),
    issuerKeys: new BrokerIssuerKeys(manifests, new FetchedIssuerKeys(fetchJson, epochSeconds, standIns)),
    clientKeys: new FetchedIssuerKeys(fetchJson, epochSeconds),
    assertions: new DynamoDbAssertionLedger(dynamoDb, settings.exchangesTable),
    ledger: new DynamoDbExchangeLedger(dynamoDb, settings.exchangesTable),
    revocations: new DynamoDbRevocationStore(dynamoDb, settings.revocationsTable),
    signer: new KmsSigner(new KMSClient(AWS_CLIENT), manifests),
    randomId,
  }
}

export function composeIntrospection(): IntrospectionDependencies & { readonly stage: string } {
  const settings = readSettings(['issuer', 'stage', 'exchangesTable', 'revocationsTable', 'signingKeysTable'])
  const parts = composeOwnTokens(settings)
  return {
    ...parts.world,
    stage: settings.stage,
    revocations: new DynamoDbRevocationStore(parts.dynamoDb, settings.revocationsTable),
    signer: new KmsSigner(new KMSClient(AWS_CLIENT), parts.manifests),
  }
}

export function composeRevocation(): RevocationDependencies & { readonly stage: string } {
  const settings = readSettings(['issuer', 'stage', 'exchangesTable', 'revocationsTable', 'signingKeysTable'])
  const { world, dynamoDb } = composeOwnTokens(settings)
  return {
    ...world,
    stage: settings.stage,
    register: new DynamoDbRevocationRegister(dynamoDb, settings.revocationsTable),
  }
}

/** What it takes to know clients and our own tokens. */
function composeOwnTokens(settings: Settings<'issuer' | 'exchangesTable' | 'signingKeysTable'>) {
  const dynamoDb = new DynamoDBClient(AWS_CLIENT)
  const manifests = new CachedKeyManifests(
    new DynamoDbKeyManifests(dynamoDb, settings.signingKeysTable),
    Date.now,
  )
  const fetchJson = jsonFetcher({ allowLoopback: readLocalIssuers() !== undefined })
  const clientKeys = new FetchedIssuerKeys(fetchJson, epochSeconds)
  const world = {
    issuer: settings.issuer,
    policy: indexPolicy(readBundledPolicy()),
    // Nobody else's tokens are verified here.
    issuerKeys: new BrokerIssuerKeys(manifests, { find: async () => undefined }),
    clientKeys,
    assertions: new DynamoDbAssertionLedger(dynamoDb, settings.exchangesTable),
    randomId,
  }
  return { world, dynamoDb, manifests }
}

export function composeDocuments(): Documents & { readonly stage: string } {
  const { issuer, stage, signingKeysTable } = readSettings(['issuer', 'stage', 'signingKeysTable'])
  const store = new DynamoDbKeyManifests(new DynamoDBClient(AWS_CLIENT), signingKeysTable)
  const cached = new CachedKeyManifests(store, Date.now, LIMITS.publishedManifestSeconds)
  // Public and slow to change: while the table cannot be read, the last good manifests serve.
  return { issuer, stage, manifests: () => Promise.all(RINGS.map((ring) => cached.lastGood(ring))) }
}

export function composeKeyRotation(): KeyRotation & { readonly stage: string } {
  const settings = readSettings(['stage', 'signingKeysTable', 'keyRotationSeconds', 'verifierCacheSeconds'])
  const kms = new KMSClient(AWS_CLIENT)
  return {
    stage: settings.stage,
    store: new DynamoDbKeyManifests(new DynamoDBClient(AWS_CLIENT), settings.signingKeysTable),
    factory: new KmsSigningKeyFactory(kms, settings.stage),
    inventory: new KmsSigningKeyInventory(kms, settings.stage),
    times: keyTimesFor({
      rotationSeconds: readSeconds(settings, 'keyRotationSeconds'),
      verifierCacheSeconds: readSeconds(settings, 'verifierCacheSeconds'),
    }),
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
    signer: new KmsCheckpointSigner(kms, keys, settings.auditKey),
    now: epochSeconds,
    randomId,
  }
}

/** The policy that was compiled when the app was synthesized, beside the bundle. Without it the function must not start. */
function readBundledPolicy(): CompiledPolicy {
  return JSON.parse(readFileSync(new URL('./policy.json', import.meta.url), 'utf8')) as CompiledPolicy
}
