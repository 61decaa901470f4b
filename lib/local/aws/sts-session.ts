import type { JsonObject } from './aws-error.ts'
import type { AccessRequest } from './iam.ts'
import type { RequestContext } from './iam-conditions.ts'
import { objectsAt, textAt, textsAt } from './service.ts'
import type { SessionTags } from './sts-validation.ts'

/** A session that this STS has started. */
export interface StsSession {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken: string
  readonly roleArn: string
  readonly sessionName: string
  readonly arn: string
  readonly tags: Readonly<Record<string, string>>
  readonly transitiveTagKeys: readonly string[]
  readonly sourceIdentity: string | undefined
  /** The session policy as it was sent. */
  readonly policy: string | undefined
  readonly policyArns: readonly string[]
  readonly externalId: string | undefined
  readonly by: 'AssumeRole' | 'AssumeRoleWithWebIdentity'
  /** The caller's name, or the subject of the web identity. */
  readonly startedBy: string
  /** Epoch milliseconds. */
  readonly startedAt: number
  readonly expiresAt: number
}

/** What policies, the caller's and the role's, may ask about a session that is to start. */
export interface SessionFacts {
  readonly sessionName: string | undefined
  readonly sessionTags: SessionTags
  readonly sourceIdentity: string | undefined
  readonly externalId?: string | undefined
}

/** The condition keys of a session that is to start. */
export function sessionContext(facts: SessionFacts): RequestContext {
  const { tags, transitive } = facts.sessionTags
  const requestTags = Object.entries(tags).map(([key, value]) => [`aws:RequestTag/${key}`, value])
  const keys = Object.keys(tags)
  return {
    ...Object.fromEntries(requestTags),
    'aws:TagKeys': keys.length > 0 ? keys : undefined,
    'sts:TransitiveTagKeys': transitive.length > 0 ? transitive : undefined,
    'sts:RoleSessionName': facts.sessionName,
    'sts:SourceIdentity': facts.sourceIdentity,
    'sts:ExternalId': facts.externalId,
  }
}

/** The way to assume the role and, where the session has them, the rights to tag and to set the source identity. */
export function sessionActions(way: string, facts: SessionFacts): readonly string[] {
  return [
    way,
    ...(Object.keys(facts.sessionTags.tags).length > 0 ? ['sts:TagSession'] : []),
    ...(facts.sourceIdentity === undefined ? [] : ['sts:SetSourceIdentity']),
  ]
}

/** What AssumeRole asks of the caller's own policies. The input has not been checked yet. */
export function assumeRoleAccess(input: JsonObject): readonly AccessRequest[] {
  const tags = objectsAt(input, 'Tags').map((tag) => [textAt(tag, 'Key') ?? '', textAt(tag, 'Value') ?? ''])
  const facts: SessionFacts = {
    sessionName: textAt(input, 'RoleSessionName'),
    sessionTags: { tags: Object.fromEntries(tags), transitive: textsAt(input, 'TransitiveTagKeys') },
    sourceIdentity: textAt(input, 'SourceIdentity'),
    externalId: textAt(input, 'ExternalId'),
  }
  const resource = textAt(input, 'RoleArn') ?? ''
  const context = sessionContext(facts)
  return sessionActions('sts:AssumeRole', facts).map((action) => ({ action, resource, context }))
}
