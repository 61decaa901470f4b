/** What the broker depends on, as named in faults, metrics and runbooks. */
export type Dependency = 'kms' | 'dynamodb' | 'sts' | 'issuer-keys' | 'deadline'

/** A dependency is down or too slow: the answer is 503 and nothing is released. */
export class DependencyUnavailable extends Error {
  override readonly name = 'DependencyUnavailable'
  readonly dependency: Dependency

  constructor(dependency: Dependency, message: string, options?: ErrorOptions) {
    super(message, options)
    this.dependency = dependency
  }
}

/** A signature came back that its own public key does not verify: the answer is 500 and nothing is released. */
export class WrongSignature extends Error {
  override readonly name = 'WrongSignature'
}
