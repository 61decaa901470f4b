import { CommandFailed } from './command.ts'

/** What went wrong, and what to do about it. */
export interface Explanation {
  readonly message: string
  readonly next: string
}

const LOCALLY = 'for npm start, paste the export line that it prints'
const SIGN_IN = `sign in (for example aws sso login) or set AWS_PROFILE; ${LOCALLY}`
const SET_REGION = `add --region eu-west-1 (yours), or set AWS_REGION; ${LOCALLY}`

/** Names of errors that mean one thing, by what to do about them. */
const NEXT_STEPS: readonly (readonly [names: readonly string[], next: string])[] = [
  [['CredentialsProviderError', 'TokenProviderError'], SIGN_IN],
  [
    [
      'ExpiredToken',
      'ExpiredTokenException',
      'InvalidClientTokenId',
      'UnrecognizedClientException',
      'InvalidSignatureException',
      'SignatureDoesNotMatch',
    ],
    `these credentials are not valid (any more): ${SIGN_IN}`,
  ],
  [
    ['AccessDenied', 'AccessDeniedException'],
    'use a role that may do this: the functions of the broker cannot, and neither can a read-only role',
  ],
  [
    ['KeyRingFault', 'WrongSignature'],
    'where no key signs, let a young one: npx token-broker keys rotate --now --before-caches-expire; else see docs/runbooks/signing-keys.md',
  ],
  [
    ['ResourceNotFoundException'],
    'the stack names a table that is not there: was it deleted by hand? restore it from its point-in-time backup',
  ],
  [
    ['ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH', 'ECONNRESET', 'TimeoutError'],
    'is the region right, and the network up? with AWS_ENDPOINT_URL set: is npm start still running?',
  ],
  [
    ['ThrottlingException', 'ProvisionedThroughputExceededException', 'RequestLimitExceeded', 'Throttling'],
    'AWS asks to slow down: wait a minute, and run the command again',
  ],
  [
    ['DependencyUnavailable'],
    'AWS did not answer as it should: run the command again; what it has done already may be done twice',
  ],
]

/** An error in words for the person who typed the command; `undefined` for a defect of the command itself. */
export function explain(error: unknown): Explanation | undefined {
  if (error instanceof CommandFailed) return { message: error.message, next: error.next }
  for (const cause of causesOf(error)) {
    if (cause.message === 'Region is missing') return { message: 'no AWS region is set', next: SET_REGION }
    const names = [cause.name, 'code' in cause ? cause.code : undefined]
    const found = NEXT_STEPS.find(([known]) => known.some((name) => names.includes(name)))
    if (found !== undefined) return { message: cause.message || cause.name, next: found[1] }
  }
  return undefined
}

/** The innermost first: what AWS said is nearer to the cause than what was made of it. */
function causesOf(error: unknown): readonly Error[] {
  if (!(error instanceof Error)) return []
  const inner = error instanceof AggregateError ? error.errors : [error.cause]
  return [...inner.flatMap(causesOf), error]
}
