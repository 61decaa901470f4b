import { composeKeyRotation, epochSeconds } from '../compose.ts'
import { answerCustomResource, isCustomResourceEvent } from './custom-resource.ts'
import { reconcileKeys } from './reconcile.ts'

const rotation = composeKeyRotation()

/** Runs at deploy, as a custom resource that is complete once every ring can sign, and on a schedule. */
export async function handler(event: unknown): Promise<void> {
  const reconcile = () => reconcileKeys(rotation, epochSeconds())
  if (isCustomResourceEvent(event)) await answerCustomResource(event, reconcile)
  else await reconcile()
}
