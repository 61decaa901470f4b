import { randomBytes } from 'node:crypto'
import { DynamoDbKeyManifests } from '../../functions/adapters/dynamodb-key-manifests.ts'
import { KmsSigningKeyFactory } from '../../functions/adapters/kms-signing-key-factory.ts'
import { KmsSigningKeyInventory } from '../../functions/adapters/kms-signing-key-inventory.ts'
import type { KeyManifest } from '../../functions/core/key-lifecycle.ts'
import { RINGS } from '../../functions/core/key-times.ts'
import type { KeyRotation } from '../../functions/rotate-keys/reconcile.ts'
import { CommandFailed } from './command.ts'
import type { Deployment } from './deployment.ts'

/** What the rotation is made of, with the operator's credentials in place of the function's. */
export function keyWorld(deployment: Deployment, now: () => number): KeyRotation {
  const { dynamoDb, kms, stage, tables, keyTimes } = deployment
  return {
    store: new DynamoDbKeyManifests(dynamoDb, tables.signingKeys),
    factory: new KmsSigningKeyFactory(kms, stage),
    inventory: new KmsSigningKeyInventory(kms, stage),
    times: keyTimes,
    now,
    randomId: () => randomBytes(16).toString('base64url'),
  }
}

/** The manifests of all rings. Throws {@link CommandFailed} if there is none at all. */
export async function readRings({ store }: KeyRotation, table: string): Promise<readonly KeyManifest[]> {
  const manifests = await Promise.all(RINGS.map((ring) => store.read(ring)))
  const found = manifests.filter((manifest) => manifest !== undefined)
  if (found.length > 0) return found
  throw new CommandFailed(
    `the table ${table} is empty: no signing key was ever made`,
    'npx token-broker keys reconcile makes the first ones; if the table was lost: docs/runbooks/signing-keys.md',
  )
}

/** After every refusal to write: somebody else has changed the ring, most likely a run of the rotation. */
export function ringChanged(ring: string): CommandFailed {
  return new CommandFailed(
    `ring ${ring} has changed since the plan was made: the rotation runs every few minutes`,
    'run the same command again, and read its plan anew',
  )
}
