import { randomBytes } from 'node:crypto'
import { DelegatedSigningKeys } from '../../functions/adapters/delegated-signing-keys.ts'
import { DynamoDbKeyManifests } from '../../functions/adapters/dynamodb-key-manifests.ts'
import { KmsKeyAttester } from '../../functions/adapters/kms-key-attester.ts'
import { KmsSigningKeyFactory } from '../../functions/adapters/kms-signing-key-factory.ts'
import { KmsSigningKeyInventory } from '../../functions/adapters/kms-signing-key-inventory.ts'
import { KmsWrapping } from '../../functions/adapters/kms-wrapping.ts'
import type { KeyManifest } from '../../functions/core/key-lifecycle.ts'
import { DELEGATED_RING, RINGS } from '../../functions/core/key-times.ts'
import type { KeyRotation } from '../../functions/rotate-keys/reconcile.ts'
import { CommandFailed } from './command.ts'
import type { Deployment } from './deployment.ts'

/** What the rotation is made of, with the operator's credentials in place of the function's. */
export function keyWorld(deployment: Deployment, now: () => number): KeyRotation {
  const { dynamoDb, kms, stage, tables, keyTimes, delegatedKeyTimes, wrappingKeyArn, issuer } = deployment
  const wrapping = wrappingKeyArn === undefined ? undefined : new KmsWrapping(kms, wrappingKeyArn, stage)
  return {
    store: new DynamoDbKeyManifests(dynamoDb, tables.signingKeys),
    factory: new KmsSigningKeyFactory(kms, stage),
    inventory: new KmsSigningKeyInventory(kms, stage),
    times: keyTimes,
    delegated: {
      times: delegatedKeyTimes,
      attester: new KmsKeyAttester(kms, issuer, now),
      keys: wrapping && new DelegatedSigningKeys(wrapping),
    },
    now,
    randomId: () => randomBytes(16).toString('base64url'),
  }
}

/** The manifests of all rings. Throws {@link CommandFailed} if there is none at all. */
export async function readRings({ store }: KeyRotation, table: string): Promise<readonly KeyManifest[]> {
  const manifests = await Promise.all(RINGS.map((ring) => store.read(ring)))
  const found = manifests.flatMap((manifest) =>
    manifest === undefined || isUnused(manifest) ? [] : [manifest],
  )
  if (found.length > 0) return found
  throw new CommandFailed(
    `the table ${table} is empty: no signing key was ever made`,
    'npx token-broker keys reconcile makes the first ones; if the table was lost: docs/runbooks/signing-keys.md',
  )
}

/** Most deployments have no delegated keys. */
function isUnused({ ring, keys, pending }: KeyManifest): boolean {
  return ring === DELEGATED_RING && keys.length === 0 && pending === undefined
}

/** After every refusal to write: somebody else has changed the ring, most likely a run of the rotation. */
export function ringChanged(ring: string): CommandFailed {
  return new CommandFailed(
    `ring ${ring} has changed since the plan was made: the rotation runs every few minutes`,
    'run the same command again, and read its plan anew',
  )
}
