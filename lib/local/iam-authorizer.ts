import type { AwsEndpoint } from './aws/endpoint.ts'
import { principalArn } from './aws/permissions.ts'
import { type SignedRequest, verifySigV4 } from './sigv4.ts'

/** Who called a route with AWS_IAM authorization, as API Gateway tells its integration in format 1.0. */
export interface CallerIdentity {
  readonly accessKey: string
  readonly accountId: string
  readonly caller: string
  readonly user: string
  readonly userArn: string
}

export interface IamAuthorizerOptions {
  readonly aws: Pick<AwsEndpoint, 'principal' | 'authorise'>
  readonly region: string
  readonly account: string
  /** Epoch milliseconds. */
  readonly clock: () => number
}

/** What a route asks of its callers. */
export interface AuthorizedRoute {
  readonly apiId: string
  readonly path: string
}

/** Lets a request in if a known access key has signed it and its principal may invoke the route; `undefined`: forbidden. */
export type IamAuthorizer = (request: SignedRequest, route: AuthorizedRoute) => CallerIdentity | undefined

/** API Gateway's IAM authorization: Signature Version 4, then `execute-api:Invoke` on the route. */
export function iamAuthorizer({ aws, region, account, clock }: IamAuthorizerOptions): IamAuthorizer {
  return (request, { apiId, path }) => {
    const accessKey = verifySigV4(request, {
      service: 'execute-api',
      region,
      now: clock(),
      secretOf: (accessKeyId) => aws.principal(accessKeyId)?.secretAccessKey,
    })
    const principal = accessKey === undefined ? undefined : aws.principal(accessKey)
    if (accessKey === undefined || principal === undefined) return undefined
    const resource = `arn:aws:execute-api:${region}:${account}:${apiId}/$default/${request.method}${path}`
    if (!aws.authorise(principal, { action: 'execute-api:Invoke', resource, context: {} })) return undefined
    const { name } = principal
    return {
      accessKey,
      accountId: account,
      caller: name,
      user: name,
      userArn: principalArn(principal, account),
    }
  }
}
