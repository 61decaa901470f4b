import { AwsError } from './aws-error.ts'
import { lognormal, seededRandom } from './random.ts'

/** What goes wrong. Latencies in milliseconds. */
export type Fault =
  | { readonly kind: 'latency'; readonly milliseconds: number }
  | { readonly kind: 'latency'; readonly p50: number; readonly p99: number; readonly seed?: number }
  /** The service's own throttling error. */
  | { readonly kind: 'throttle' }
  | { readonly kind: 'error'; readonly code: string; readonly status?: number; readonly message?: string }
  /** The call takes effect, then the connection breaks. */
  | { readonly kind: 'drop-after-apply' }
  /** The connection breaks before anything happens. */
  | { readonly kind: 'reset' }
  /** No answer, until the caller gives up or the endpoint closes. */
  | { readonly kind: 'hang' }
  /** The call takes effect, then as with `hang`. */
  | { readonly kind: 'hang-after-apply' }
  /** One bit of the signature is flipped. Only for `kms:Sign`. */
  | { readonly kind: 'garble'; readonly seed?: number }

export type FaultPlan = Fault & {
  /** For example `kms:Sign`. */
  readonly operation: string
  /** Strikes this often, then no more. @default without end */
  readonly times?: number
  /** Strikes every n-th call, the n-th first. @default 1 */
  readonly every?: number
}

/** The ways to leave a caller without an answer. */
export type Silence = 'drop-after-apply' | 'reset' | 'hang' | 'hang-after-apply'

/** What strikes one call. */
export interface Strike {
  readonly delayMilliseconds: number
  readonly end?: AwsError | Silence
  /** Picks the bit to flip, in [0, 1). */
  readonly garble?: number
}

interface ArmedPlan {
  readonly plan: FaultPlan
  readonly random: () => number
  calls: number
  strikes: number
}

const NO_STRIKE: Strike = { delayMilliseconds: 0 }

const THROTTLES: Readonly<Record<string, () => AwsError>> = {
  dynamodb: () =>
    new AwsError(
      'com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException',
      'The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level with the UpdateTable API.',
    ),
  kms: () =>
    new AwsError(
      'ThrottlingException',
      'You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.',
    ),
  s3: () => new AwsError('SlowDown', 'Please reduce your request rate.', { status: 503 }),
  sts: () => new AwsError('Throttling', 'Rate exceeded'),
}

/** Codes that do not come with status 400. */
const STATUS_BY_CODE: Readonly<Record<string, number>> = {
  AccessDenied: 403,
  RegionDisabledException: 403,
  InternalServerError: 500,
  InternalFailure: 500,
  InternalError: 500,
  ConditionalRequestConflict: 409,
  PreconditionFailed: 412,
  SlowDown: 503,
  KMSInternalException: 500,
  ServiceUnavailable: 503,
  DependencyTimeoutException: 503,
  KeyUnavailableException: 500,
}

/** The faults to inject, by operation. Several plans for one operation all apply; the first that ends the call wins. */
export class Faults {
  readonly #armed = new Map<string, ArmedPlan[]>()

  /** Adds a plan. Throws if the plan makes no sense. */
  set(plan: FaultPlan): void {
    if (plan.kind === 'garble' && plan.operation !== 'kms:Sign') {
      throw new RangeError(`only kms:Sign can be garbled, not ${plan.operation}`)
    }
    if ((plan.every ?? 1) < 1 || (plan.times ?? 1) < 1) throw new RangeError('every and times start at 1')
    const seed = 'seed' in plan ? plan.seed : undefined
    const armed = { plan, random: seededRandom(seed ?? 1), calls: 0, strikes: 0 }
    this.#armed.set(plan.operation, [...(this.#armed.get(plan.operation) ?? []), armed])
  }

  /** Removes the plans of one operation, or all. */
  clear(operation?: string): void {
    if (operation === undefined) this.#armed.clear()
    else this.#armed.delete(operation)
  }

  /** What strikes this call of the operation. Counts the call. */
  strike(service: string, operation: string): Strike {
    const armed = this.#armed.get(`${service}:${operation}`)
    if (armed === undefined) return NO_STRIKE
    return armed
      .filter(isDue)
      .reduce((strike, { plan, random }) => add(strike, plan, random, service), NO_STRIKE)
  }
}

function isDue(armed: ArmedPlan): boolean {
  armed.calls += 1
  const { every = 1, times = Number.POSITIVE_INFINITY } = armed.plan
  if (armed.calls % every !== 0 || armed.strikes >= times) return false
  armed.strikes += 1
  return true
}

function add(strike: Strike, fault: Fault, random: () => number, service: string): Strike {
  if (fault.kind === 'latency') {
    const delay = 'milliseconds' in fault ? fault.milliseconds : lognormal(random, fault.p50, fault.p99)
    return { ...strike, delayMilliseconds: strike.delayMilliseconds + delay }
  }
  if (fault.kind === 'garble') return { ...strike, garble: random() }
  return strike.end === undefined ? { ...strike, end: endOf(fault, service) } : strike
}

function endOf(
  fault: Exclude<Fault, { kind: 'latency' | 'garble' }>,
  service: string,
): NonNullable<Strike['end']> {
  switch (fault.kind) {
    case 'throttle':
      return THROTTLES[service]?.() ?? new AwsError('ThrottlingException', 'Rate exceeded')
    case 'error': {
      const status = fault.status ?? STATUS_BY_CODE[fault.code] ?? 400
      return new AwsError(fault.code, fault.message ?? 'injected fault', { status })
    }
    case 'drop-after-apply':
    case 'reset':
    case 'hang':
    case 'hang-after-apply':
      return fault.kind
  }
}

/** The base64 text with one bit of its bytes flipped; `position` in [0, 1) picks the bit. */
export function flipBit(base64: string, position: number): string {
  const bytes = Buffer.from(base64, 'base64')
  const bit = Math.floor(position * bytes.length * 8)
  const index = bit >> 3
  bytes[index] = (bytes[index] ?? 0) ^ (1 << (bit & 7))
  return bytes.toString('base64')
}
