import type { CredentialProcessDocument } from '../core/aws-credentials.ts'
import type { ExchangeDependencies, TokenAnswer } from '../core/exchange.ts'
import type { AwsTarget } from '../core/policy/compiled.ts'
import { isHandle } from '../core/reference-token.ts'
import { AWS_CREDENTIALS_TYPE, TOKEN_EXCHANGE_GRANT, tokenTypeUri } from '../core/token-request.ts'
import { performExchange } from '../exchange/perform-exchange.ts'
import { loggedRefusal } from '../exchange/serve-token.ts'
import { type HttpAnswer, jsonAnswer } from '../http/answer.ts'
import { type Serve, servedRefusal } from '../http/rim.ts'
import type { Telemetry } from '../telemetry.ts'

const PATH = /^\/aws\/credentials\/([a-z0-9][a-z0-9_-]{0,62})$/

/**
 * `GET /aws/credentials/{target}`: what AWS SDKs ask when `AWS_CONTAINER_CREDENTIALS_FULL_URI` is set. The value of
 * `Authorization` is the subject token, as it stands in their token file or after `Bearer`. It is an exchange like any other.
 */
export function serveCredentials(
  world: ExchangeDependencies,
  log: Pick<Telemetry, 'refused' | 'repeated'>,
): Serve {
  return async (request, context) => {
    const [, targetId] = PATH.exec(request.path) ?? []
    if (targetId === undefined) return { outcome: 'refused', answer: jsonAnswer(404, NOT_FOUND) }
    const about = { context, world, log }
    if (request.method !== 'GET') return loggedRefusal({ kind: 'method_not_allowed', allow: 'GET' }, about)
    if (request.hasQuery) return loggedRefusal({ kind: 'parameters_in_query' }, about)
    const [authorization = '', ...others] = request.header('authorization')
    if (others.length > 0)
      return loggedRefusal({ kind: 'parameter_repeated', parameter: 'subject_token' }, about)
    const input = {
      parameters: parametersFor(authorization.replace(/^Bearer +/i, '')),
      authorization: [],
      certificate: request.clientCertificate,
      dpop: request.header('dpop'),
      idempotencyKey: request.header('idempotency-key'),
      targetId,
    }
    const outcome = await performExchange(input, context, { world, log })
    if ('refused' in outcome) return servedRefusal(outcome.refused)
    const target = [...world.policy.targets.values()].find(({ id }) => id === targetId) as AwsTarget
    return {
      outcome: 'succeeded',
      answer: jsonAnswer(200, containerDocument(outcome.answer, target)),
      measured: outcome.repeated === undefined ? { TokensIssued: 1 } : {},
      known: outcome.known,
    }
  }
}

const NOT_FOUND = { error: 'not_found', error_description: 'there is no such path' }

function parametersFor(subjectToken: string) {
  return [
    ['grant_type', TOKEN_EXCHANGE_GRANT],
    ['requested_token_type', AWS_CREDENTIALS_TYPE],
    ['subject_token', subjectToken],
    ['subject_token_type', tokenTypeUri(isHandle(subjectToken) ? 'access_token' : 'jwt')],
  ] as const
}

/** The same credentials under the names of the container-credentials protocol. */
function containerDocument({ access_token }: TokenAnswer, { roleArn }: Pick<AwsTarget, 'roleArn'>) {
  const document = JSON.parse(access_token) as CredentialProcessDocument
  const { AccessKeyId, SecretAccessKey, SessionToken: Token, Expiration } = document
  return {
    AccessKeyId,
    SecretAccessKey,
    Token,
    Expiration,
    RoleArn: roleArn,
    AccountId: roleArn.split(':')[4],
  }
}

/** The same error in the words of the container-credentials protocol. */
export function inContainerWords(answer: HttpAnswer): HttpAnswer {
  if (answer.statusCode < 400) return answer
  const { error: code, error_description: message } = JSON.parse(answer.body) as Record<string, unknown>
  return { ...answer, body: JSON.stringify({ code, message }) }
}
