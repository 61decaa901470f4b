import type { PresetName } from './presets.ts'

/**
 * What a claim is, where a token has it; an array is what its elements are. A map's names may end in `*`, for all that
 * begin so.
 */
export type ClaimForm = 'text' | 'number' | 'boolean' | 'anything' | ClaimForms
export interface ClaimForms {
  readonly [name: string]: ClaimForm
}

function texts(names: string): ClaimForms {
  return Object.fromEntries(names.split(/\s+/).map((name) => [name, 'text']))
}

/** RFC 7519 §4.1. */
const REGISTERED: ClaimForms = { ...texts('iss sub aud jti'), exp: 'number', iat: 'number', nbf: 'number' }
const NAME_AND_UID = texts('name uid')

/** The claims of platforms whose tokens have those alone. Where customers add their own (Okta, Entra, …) nothing is known. */
export const CLAIMS_OF_PRESETS: { readonly [Name in PresetName]?: ClaimForms } = {
  'github-actions': {
    ...REGISTERED,
    ...texts(`actor actor_id base_ref check_run_id enterprise enterprise_id environment environment_node_id event_name
      head_ref job_workflow_ref job_workflow_sha ref ref_type ref_protected repository repository_id repository_owner
      repository_owner_id repository_visibility run_id run_number run_attempt runner_environment sha workflow workflow_ref
      workflow_sha repo_property_*`),
  },
  gitlab: {
    ...REGISTERED,
    ...texts(`namespace_id namespace_path project_id project_path project_visibility user_id user_login user_email
      user_access_level groups_direct pipeline_id pipeline_source job_id job_project_id job_project_path job_namespace_id
      job_namespace_path job_source job_policy_ref_uri source_project_* ref ref_type ref_path ref_protected environment
      environment_protected environment_action deployment_tier runner_environment sha ci_config_ref_uri ci_config_sha`),
    runner_id: 'number',
    user_identities: 'anything',
  },
  circleci: {
    ...REGISTERED,
    ...texts(`oidc.circleci.com/project-id oidc.circleci.com/org-id oidc.circleci.com/context-ids
      oidc.circleci.com/vcs-origin oidc.circleci.com/vcs-ref oidc.circleci.com/pipeline-id
      oidc.circleci.com/pipeline-definition-id oidc.circleci.com/workflow-id oidc.circleci.com/job-id`),
    'oidc.circleci.com/ssh-rerun': 'boolean',
  },
  buildkite: {
    ...REGISTERED,
    ...texts(`organization_slug organization_id pipeline_slug pipeline_id build_branch build_tag build_commit build_source
      step_key job_id agent_id runner_environment cluster_id cluster_name queue_id queue_key agent_tag:*`),
    build_number: 'number',
    'https://aws.amazon.com/tags': 'anything',
  },
  kubernetes: {
    ...REGISTERED,
    'kubernetes.io': {
      namespace: 'text',
      node: NAME_AND_UID,
      pod: NAME_AND_UID,
      secret: NAME_AND_UID,
      serviceaccount: NAME_AND_UID,
      warnafter: 'number',
    },
  },
  'aws-outbound': {
    ...REGISTERED,
    'https://sts.amazonaws.com/': {
      ...texts('aws_account source_region org_id lambda_source_function_arn'),
      '*': 'anything',
    },
  },
}

/** Values as the platform writes them, of claims that always have as many `/` at least. */
export const EXAMPLES_OF_PRESETS: { readonly [Name in PresetName]?: Readonly<Record<string, string>> } = {
  'github-actions': {
    ref: 'refs/heads/main',
    repository: 'octo-org/app',
    workflow_ref: 'octo-org/app/.github/workflows/ci.yml@refs/heads/main',
    job_workflow_ref: 'octo-org/app/.github/workflows/ci.yml@refs/heads/main',
  },
  gitlab: { ref_path: 'refs/heads/main', project_path: 'group/app' },
}

/** What is at a path of names; `undefined` where no token has anything. */
export function formAt(forms: ClaimForms, path: readonly string[]): ClaimForm | undefined {
  return path.reduce<ClaimForm | undefined>((form, name) => {
    if (form === 'anything') return form
    return typeof form === 'object' ? formOf(form, name) : undefined
  }, forms)
}

function formOf(forms: ClaimForms, name: string): ClaimForm | undefined {
  if (Object.hasOwn(forms, name)) return forms[name]
  const family = Object.keys(forms).find((key) => key.endsWith('*') && name.startsWith(key.slice(0, -1)))
  return family === undefined ? undefined : forms[family]
}

/** The path of every claim that has a name of its own. */
export function claimPaths(forms: ClaimForms): readonly (readonly string[])[] {
  return Object.entries(forms).flatMap(([name, form]) => {
    if (name.endsWith('*')) return []
    const nested = typeof form === 'object' ? claimPaths(form) : []
    return [[name], ...nested.map((path) => [name, ...path])]
  })
}
