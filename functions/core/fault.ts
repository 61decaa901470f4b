/** What the broker depends on, as named in faults, metrics and runbooks. */
export type Dependency = 'kms' | 'dynamodb' | 's3' | 'sts' | 'aws-credentials' | 'issuer-keys' | 'deadline'

/** A dependency is down or too slow: the answer is 503 and nothing is released. */
export class DependencyUnavailable extends Error {
  override readonly name = 'DependencyUnavailable'
  readonly dependency: Dependency

  constructor(dependency: Dependency, message: string, options?: ErrorOptions) {
    super(message, options)
    this.dependency = dependency
  }
}

/** The function that was to serve a request was never asked: what it could have recorded is not there. */
export class NeverInvoked extends DependencyUnavailable {}

/** A signature came back that its own public key does not verify: the answer is 500 and nothing is released. */
export class WrongSignature extends Error {
  override readonly name = 'WrongSignature'
}

/**
 * STS says that what we ask for, or the token that we sign for it, is wrong: the answer is 500 and nothing is released. The
 * message names the target and STS's error code.
 */
export class SessionRejected extends Error {
  override readonly name = 'SessionRejected'
}

/** A key signed that had been retired for too long by then: the answer is 500 and nothing is released. The message names the key. */
export class SignedByRetiredKey extends Error {
  override readonly name = 'SignedByRetiredKey'
}

/** The rotation found a ring of signing keys in a state that it cannot mend by itself. The message names keys, no secrets. */
export class KeyRingFault extends Error {
  override readonly name = 'KeyRingFault'
}

/** The audit trail in the bucket is not as it must be: nothing is written after it. The message names objects. */
export class AuditChainFault extends Error {
  override readonly name = 'AuditChainFault'
}
