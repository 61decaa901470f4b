import { CommandFailed } from './command.ts'
import type { Deployment } from './deployment.ts'
import { postSigned, type SignedAnswer } from './signed-request.ts'

const PATH = '/admin/revocations'

/** A revocation as the broker's endpoint for operators takes it. */
export interface RevocationRequest {
  readonly kind: string
  readonly id?: string
  readonly token?: string
  readonly reason: string
}

/**
 * Has the broker revoke, which also brings it into the audit trail. Returns what the broker answered; throws
 * {@link CommandFailed} if that says that nothing is revoked, and what {@link postSigned} throws.
 */
export async function postRevocation(
  deployment: Deployment,
  request: RevocationRequest,
): Promise<SignedAnswer['body']> {
  return revokedIn(await postSigned(deployment, PATH, request), deployment)
}

function revokedIn({ status, body }: SignedAnswer, { issuer, stage }: Deployment): SignedAnswer['body'] {
  if (status === 200 && isRevocation(body)) return body
  const texts = [body['error_description'], body['error'], body['message']]
  const said = texts.find((text) => typeof text === 'string') ?? 'no reason'
  throw new CommandFailed(`${issuer}${PATH} answered ${status}: ${said}`, nextAfter(status, stage))
}

/** Whatever else answers 200, a portal or another server under that name, has revoked nothing. */
function isRevocation({ revoked, author }: SignedAnswer['body']): boolean {
  return Array.isArray(revoked) && revoked.length > 0 && typeof author === 'string'
}

function nextAfter(status: number, stage: string): string {
  if (status === 403)
    return `your role needs execute-api:Invoke on POST ${PATH} of stage ${stage}, and a clock that is right`
  if (status === 200)
    return 'NOTHING IS REVOKED: this is not the answer of a broker; does the issuer lead to another server?'
  if (status === 404) return 'the stack is older than this command: npx cdk deploy --all'
  if (status === 429 || status >= 500)
    return 'NOTHING MAY BE REVOKED YET: run the same command again, it may be repeated'
  return 'correct the id or the reason: npx token-broker revoke --help'
}
