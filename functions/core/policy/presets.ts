import type { SubjectAlgorithm } from '../types.ts'

export const PRESET_NAMES = [
  'github-actions',
  'gitlab',
  'circleci',
  'buildkite',
  'kubernetes',
  'aws-outbound',
  'google',
  'okta',
  'entra',
  'spiffe',
] as const

export type PresetName = (typeof PRESET_NAMES)[number]

/** What is known about a kind of issuer. Claims are named by their path in the token, joined with dots. */
export interface IssuerPreset {
  /** Left out where every customer has an issuer URL of their own: policy must then give it. */
  readonly issuer?: string
  /** An issuer URL of this kind, for messages. */
  readonly example: string
  readonly algorithms: readonly SubjectAlgorithm[]
  readonly keys: 'discovery'
  /**
   * For an issuer that signs for everybody: the claims that say whose token it is, with the text that precedes the
   * owner in their values. Empty where the issuer URL itself belongs to one owner.
   */
  readonly owners: Readonly<Record<string, string>>
  /** Claims that hold a name, which can be given up and taken over, and the claim with the id for it. */
  readonly idsOfNames: Readonly<Record<string, string>>
  /** Values that a token has in a run for somebody else's proposed change. */
  readonly pullRequests: Readonly<Record<string, readonly string[]>>
}

const NOTHING_KNOWN = { owners: {}, idsOfNames: {}, pullRequests: {} } as const

const GITHUB_ACTIONS: IssuerPreset = {
  issuer: 'https://token.actions.githubusercontent.com',
  example: 'https://token.actions.githubusercontent.com',
  algorithms: ['RS256'],
  keys: 'discovery',
  owners: {
    repository_id: '',
    repository_owner_id: '',
    enterprise_id: '',
    repository: '',
    repository_owner: '',
    enterprise: '',
    workflow_ref: '',
    sub: 'repo:',
  },
  idsOfNames: {
    repository: 'repository_id',
    repository_owner: 'repository_owner_id',
    enterprise: 'enterprise_id',
    actor: 'actor_id',
  },
  pullRequests: { event_name: ['pull_request', 'pull_request_target'], ref: ['refs/pull/1/merge'] },
}

const GITLAB: IssuerPreset = {
  issuer: 'https://gitlab.com',
  example: 'https://gitlab.com',
  algorithms: ['RS256'],
  keys: 'discovery',
  owners: { project_id: '', namespace_id: '', project_path: '', namespace_path: '', sub: 'project_path:' },
  idsOfNames: {
    project_path: 'project_id',
    namespace_path: 'namespace_id',
    user_login: 'user_id',
    user_email: 'user_id',
    job_project_path: 'job_project_id',
    job_namespace_path: 'job_namespace_id',
    source_project_path: 'source_project_id',
  },
  pullRequests: {
    pipeline_source: ['merge_request_event', 'external_pull_request_event'],
    ref_path: ['refs/merge-requests/1/head'],
  },
}

const BUILDKITE: IssuerPreset = {
  issuer: 'https://agent.buildkite.com',
  example: 'https://agent.buildkite.com',
  algorithms: ['RS256'],
  keys: 'discovery',
  owners: { organization_id: '', pipeline_id: '', organization_slug: '', sub: 'organization:' },
  idsOfNames: { organization_slug: 'organization_id', pipeline_slug: 'pipeline_id' },
  pullRequests: {},
}

const GOOGLE: IssuerPreset = {
  issuer: 'https://accounts.google.com',
  example: 'https://accounts.google.com',
  algorithms: ['RS256'],
  keys: 'discovery',
  owners: { sub: '', email: '', hd: '' },
  idsOfNames: { email: 'sub' },
  pullRequests: {},
}

const CIRCLECI: IssuerPreset = {
  ...NOTHING_KNOWN,
  example: 'https://oidc.circleci.com/org/00000000-0000-4000-8000-000000000000',
  algorithms: ['RS256'],
  keys: 'discovery',
  idsOfNames: { 'oidc.circleci.com/vcs-origin': 'oidc.circleci.com/project-id' },
  pullRequests: { 'oidc.circleci.com/vcs-ref': ['refs/pull/1/head', 'refs/pull/1/merge'] },
}

const KUBERNETES: IssuerPreset = {
  ...NOTHING_KNOWN,
  example: 'https://oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE0123456789ABCDEF',
  algorithms: ['RS256'],
  keys: 'discovery',
}

const AWS_OUTBOUND: IssuerPreset = {
  ...NOTHING_KNOWN,
  example: 'https://00000000-0000-4000-8000-000000000000.tokens.sts.global.api.aws',
  algorithms: ['RS256', 'ES384'],
  keys: 'discovery',
}

/** One issuer per organisation and authorization server. */
const OKTA: IssuerPreset = {
  ...NOTHING_KNOWN,
  example: 'https://example.okta.com/oauth2/default',
  algorithms: ['RS256'],
  keys: 'discovery',
  idsOfNames: { sub: 'uid', email: 'uid' },
}

/** One issuer per tenant. Tokens of version 1.0 come from `https://sts.windows.net/TENANT/` instead. */
const ENTRA: IssuerPreset = {
  ...NOTHING_KNOWN,
  example: 'https://login.microsoftonline.com/00000000-0000-4000-8000-000000000000/v2.0',
  algorithms: ['RS256'],
  keys: 'discovery',
  idsOfNames: { preferred_username: 'oid', upn: 'oid', unique_name: 'oid', email: 'oid' },
}

/** One issuer per trust domain: the keys are those of its bundle, which has no discovery document. */
const SPIFFE: IssuerPreset = {
  ...NOTHING_KNOWN,
  example: 'spiffe://example.org',
  algorithms: ['ES256', 'RS256'],
  keys: 'discovery',
}

/** The issuers that a policy file can name by `preset`. `issuer`, `algorithms` and `keys` may be overridden there. */
const PRESETS: Readonly<Record<PresetName, IssuerPreset>> = {
  'github-actions': GITHUB_ACTIONS,
  gitlab: GITLAB,
  circleci: CIRCLECI,
  buildkite: BUILDKITE,
  kubernetes: KUBERNETES,
  'aws-outbound': AWS_OUTBOUND,
  google: GOOGLE,
  okta: OKTA,
  entra: ENTRA,
  spiffe: SPIFFE,
}

/** What is known about issuers of that preset; nothing about one without. */
export function presetOf(name: PresetName | undefined): IssuerPreset | undefined {
  return name === undefined ? undefined : PRESETS[name]
}
