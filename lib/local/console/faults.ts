import type { LocalCloud } from '../cloud.ts'
import type { FaultChoice } from './wire.ts'

type Afflicted = Pick<LocalCloud, 'aws' | 'demoIssuer'>

/** Something that can be made to go wrong. */
interface InjectableFault {
  readonly title: string
  inject(cloud: Afflicted): Promise<void> | void
  clear(cloud: Afflicted): void
}

const SIGN = 'kms:Sign'
const READ_CUT_OFFS = 'dynamodb:BatchGetItem'
/** Below the time after which a function gives a call up: slow, not down. */
const SLOW_MILLISECONDS = 600

const FAULTS: Readonly<Record<string, InjectableFault>> = {
  'kms-throttled': {
    title: 'KMS throttles every signature',
    inject: ({ aws }) => aws.faults.set({ operation: SIGN, kind: 'throttle' }),
    clear: ({ aws }) => aws.faults.clear(SIGN),
  },
  'issuer-down': {
    title: 'Issuers rotate their keys, then do not answer',
    inject: async ({ demoIssuer }) => {
      // Twice: the key that signs then was never in a key set that somebody may have kept.
      await demoIssuer.rotate()
      await demoIssuer.rotate()
      demoIssuer.fail(true)
    },
    clear: ({ demoIssuer }) => demoIssuer.fail(false),
  },
  'revocations-slow': {
    title: 'The revocation store is slow',
    inject: ({ aws }) =>
      aws.faults.set({ operation: READ_CUT_OFFS, kind: 'latency', milliseconds: SLOW_MILLISECONDS }),
    clear: ({ aws }) => aws.faults.clear(READ_CUT_OFFS),
  },
}

/** The faults that were injected into one cloud, and not cleared yet. */
export class InjectedFaults {
  readonly #cloud: Afflicted
  readonly #injected = new Set<string>()

  constructor(cloud: Afflicted) {
    this.#cloud = cloud
  }

  list(): readonly FaultChoice[] {
    return Object.entries(FAULTS).map(([name, { title }]) => ({
      name,
      title,
      isInjected: this.#injected.has(name),
    }))
  }

  /** Injects or clears a fault, once however often it is asked for. Returns whether there is such a fault. */
  async set(name: string, isInjected: boolean): Promise<boolean> {
    const fault = Object.hasOwn(FAULTS, name) ? FAULTS[name] : undefined
    if (fault === undefined) return false
    if (this.#injected.has(name) === isInjected) return true
    if (isInjected) this.#injected.add(name)
    else this.#injected.delete(name)
    await (isInjected ? fault.inject(this.#cloud) : fault.clear(this.#cloud))
    return true
  }
}
