/**
 * What tokens of real issuers say: claim sets as the platforms' documentation and users show them, with the names and ids
 * replaced. `aud` and the times are added when one is signed.
 */
export interface RecordedToken {
  readonly name: string
  /** The issuer as a policy file names it, without audiences. */
  readonly issuer: Readonly<Record<string, unknown>>
  readonly algorithm: string
  readonly header?: Readonly<Record<string, unknown>>
  readonly claims: Readonly<Record<string, unknown>>
  /** Seconds from `iat` to `exp`. */
  readonly lifetime: number
  /** Conditions of a grant for it, without a warning of the lint. */
  readonly when: Readonly<Record<string, unknown>>
  /** What the same platform would say of somebody else. */
  readonly stranger: Readonly<Record<string, unknown>>
}

const SHA = '1f0c3b5a9e7d4c2b8a6f0e1d3c5b7a9f2e4d6c8b'

const GITHUB = {
  iss: 'https://token.actions.githubusercontent.com',
  jti: '6f4762ed-0758-4ccb-808d-ee3af5d723a8',
  sub: 'repo:octo-org/payments:environment:production',
  actor: 'octocat',
  actor_id: '583231',
  base_ref: '',
  check_run_id: '30123456789',
  environment: 'production',
  event_name: 'push',
  head_ref: '',
  job_workflow_ref: 'octo-org/payments/.github/workflows/deploy.yml@refs/heads/main',
  job_workflow_sha: SHA,
  ref: 'refs/heads/main',
  ref_protected: 'true',
  ref_type: 'branch',
  repository: 'octo-org/payments',
  repository_id: '123456',
  repository_owner: 'octo-org',
  repository_owner_id: '987654',
  repository_visibility: 'private',
  run_attempt: '1',
  run_id: '17712345678',
  run_number: '42',
  runner_environment: 'github-hosted',
  sha: SHA,
  workflow: 'deploy',
  workflow_ref: 'octo-org/payments/.github/workflows/deploy.yml@refs/heads/main',
  workflow_sha: SHA,
}

const GITLAB = {
  iss: 'https://gitlab.com',
  jti: '235b3a54-b797-45c7-ae9a-f72d7bc6ef5b',
  sub: 'project_path:octo-group/ledger:ref_type:branch:ref:main',
  ci_config_ref_uri: 'gitlab.com/octo-group/ledger//.gitlab-ci.yml@refs/heads/main',
  ci_config_sha: SHA,
  deployment_tier: 'production',
  environment: 'production',
  environment_protected: 'true',
  job_id: '8812345',
  job_namespace_id: '7001',
  job_namespace_path: 'octo-group',
  job_project_id: '4242',
  job_project_path: 'octo-group/ledger',
  namespace_id: '7001',
  namespace_path: 'octo-group',
  pipeline_id: '1600123',
  pipeline_source: 'push',
  project_id: '4242',
  project_path: 'octo-group/ledger',
  project_visibility: 'private',
  ref: 'main',
  ref_path: 'refs/heads/main',
  ref_protected: 'true',
  ref_type: 'branch',
  runner_environment: 'gitlab-hosted',
  runner_id: 12270831,
  sha: SHA,
  user_access_level: 'maintainer',
  user_email: 'octo@example.com',
  user_id: '9001',
  user_login: 'octo',
}

const CIRCLECI_ORGANISATION = '0c3a5a1e-2f63-4b0f-9d4a-5ad0b3e7a111'
const CIRCLECI_PROJECT = '5f9e0f0b-7c2c-4a55-9b41-19d7e80f5222'

const KUBERNETES = {
  jti: '9a3f4f1c-27d1-4a1b-9f6a-7f3b1c2d4e5f',
  sub: 'system:serviceaccount:payments:worker',
  'kubernetes.io': {
    namespace: 'payments',
    node: {
      name: 'ip-10-0-1-23.eu-west-1.compute.internal',
      uid: '646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1',
    },
    pod: { name: 'worker-5d9c7b8f6-x2x7k', uid: '5e0bd49b-f040-43b0-99b7-22765a53f7f3' },
    serviceaccount: { name: 'worker', uid: '14ee3fa4-a7e2-420f-9f9a-dbc4507c3798' },
    warnafter: 1_800_003_607,
  },
}
const KUBERNETES_RULE = {
  lifetime: 3600,
  algorithm: 'RS256',
  when: { 'kubernetes.io': { namespace: 'payments', serviceaccount: { name: 'worker' } } },
  stranger: {
    sub: 'system:serviceaccount:default:worker',
    'kubernetes.io': { namespace: 'default', serviceaccount: { name: 'worker', uid: 'another' } },
  },
}

export const RECORDED_TOKENS: readonly RecordedToken[] = [
  {
    name: 'GitHub Actions, a repository from before ids were part of sub',
    issuer: { preset: 'github-actions', max_lifetime: '10m' },
    algorithm: 'RS256',
    claims: GITHUB,
    lifetime: 300,
    when: { repository_id: '123456', ref: 'refs/heads/main', environment: 'production' },
    stranger: { repository_id: '123457' },
  },
  {
    name: 'GitHub Actions, a repository with ids in sub',
    issuer: { preset: 'github-actions' },
    algorithm: 'RS256',
    claims: { ...GITHUB, sub: 'repo:octo-org@987654/payments@123456:environment:production' },
    lifetime: 300,
    when: {
      sub: [
        'repo:octo-org/payments:environment:production',
        'repo:octo-org@987654/payments@123456:environment:production',
      ],
    },
    stranger: { sub: 'repo:octo-org@111111/payments@222222:environment:production' },
  },
  {
    name: 'GitHub Actions of an enterprise with an issuer of its own',
    issuer: {
      preset: 'github-actions',
      issuer: 'https://token.actions.githubusercontent.com/octo-enterprise',
    },
    algorithm: 'RS256',
    claims: {
      ...GITHUB,
      iss: 'https://token.actions.githubusercontent.com/octo-enterprise',
      enterprise: 'octo-enterprise',
      enterprise_id: '4711',
    },
    lifetime: 300,
    when: { enterprise_id: '4711', repository_id: '123456' },
    stranger: { iss: 'https://token.actions.githubusercontent.com' },
  },
  {
    name: 'GitHub Enterprise Server',
    issuer: { preset: 'github-actions', issuer: 'https://github.example.com/_services/token' },
    algorithm: 'RS256',
    claims: { ...GITHUB, iss: 'https://github.example.com/_services/token' },
    lifetime: 300,
    when: { repository_id: '123456' },
    stranger: { repository_id: '1' },
  },
  {
    name: 'GitLab.com',
    issuer: { preset: 'gitlab' },
    algorithm: 'RS256',
    claims: GITLAB,
    lifetime: 300,
    when: { project_id: '4242', ref_protected: 'true' },
    // Since 18.2 `project_id` of a fork's merge request is the fork.
    stranger: {
      project_id: '5151',
      job_project_id: '5151',
      source_project_id: '5151',
      source_project_path: 'stranger/ledger',
      pipeline_source: 'merge_request_event',
      ref_protected: 'false',
    },
  },
  {
    name: 'a GitLab instance of one’s own',
    issuer: { preset: 'gitlab', issuer: 'https://gitlab.example.com' },
    algorithm: 'RS256',
    claims: { ...GITLAB, iss: 'https://gitlab.example.com' },
    lifetime: 3600,
    when: { project_id: '4242', environment_protected: 'true' },
    stranger: { project_id: '1' },
  },
  {
    name: 'CircleCI',
    issuer: { preset: 'circleci', issuer: `https://oidc.circleci.com/org/${CIRCLECI_ORGANISATION}` },
    algorithm: 'RS256',
    claims: {
      iss: `https://oidc.circleci.com/org/${CIRCLECI_ORGANISATION}`,
      sub: `org/${CIRCLECI_ORGANISATION}/project/${CIRCLECI_PROJECT}/user/1d6a8e05-2c0f-4a9a-8d1a-30f7f0f7c333`,
      'oidc.circleci.com/context-ids': [
        'c1d2e3f4-0000-4000-8000-000000000001',
        'c1d2e3f4-0000-4000-8000-000000000002',
      ],
      'oidc.circleci.com/job-id': 'd9a4f0cc-6f0e-4d38-a1b2-2f7e8b1f4444',
      'oidc.circleci.com/pipeline-definition-id': 'e0b7c6a5-1111-4222-8333-444455556666',
      'oidc.circleci.com/pipeline-id': 'f1c8d7b6-2222-4333-8444-555566667777',
      'oidc.circleci.com/project-id': CIRCLECI_PROJECT,
      'oidc.circleci.com/ssh-rerun': false,
      'oidc.circleci.com/vcs-origin': 'github.com/octo-org/payments',
      'oidc.circleci.com/vcs-ref': 'refs/heads/main',
      'oidc.circleci.com/workflow-id': 'a2d9e8c7-3333-4444-8555-666677778888',
    },
    lifetime: 3600,
    when: {
      'oidc.circleci.com/project-id': CIRCLECI_PROJECT,
      'oidc.circleci.com/context-ids': 'c1d2e3f4-0000-4000-8000-000000000002',
      'oidc.circleci.com/ssh-rerun': false,
    },
    stranger: { 'oidc.circleci.com/ssh-rerun': true },
  },
  {
    name: 'Buildkite',
    issuer: { preset: 'buildkite' },
    algorithm: 'RS256',
    claims: {
      iss: 'https://agent.buildkite.com',
      sub: `organization:octo-org:pipeline:payments:ref:refs/heads/main:commit:${SHA}:step:deploy`,
      agent_id: '0187b1a2-3c4d-4e5f-8a9b-0c1d2e3f4a5b',
      build_branch: 'main',
      build_commit: SHA,
      build_number: 42,
      build_source: 'webhook',
      job_id: '0187b1a2-7777-4e5f-8a9b-0c1d2e3f4a5b',
      organization_id: '44444444-4444-4444-8444-444444444444',
      organization_slug: 'octo-org',
      pipeline_id: '55555555-5555-4555-8555-555555555555',
      pipeline_slug: 'payments',
      runner_environment: 'self-hosted',
      step_key: 'deploy',
    },
    lifetime: 300,
    when: { pipeline_id: '55555555-5555-4555-8555-555555555555', step_key: 'deploy' },
    stranger: { pipeline_id: '66666666-6666-4666-8666-666666666666' },
  },
  {
    name: 'Kubernetes on EKS',
    issuer: {
      preset: 'kubernetes',
      issuer: 'https://oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE',
      replay: 'reusable',
    },
    claims: {
      ...KUBERNETES,
      iss: 'https://oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE',
    },
    ...KUBERNETES_RULE,
  },
  {
    name: 'Kubernetes on GKE',
    issuer: {
      preset: 'kubernetes',
      issuer:
        'https://container.googleapis.com/v1/projects/octo-project/locations/europe-west1/clusters/main',
      replay: 'reusable',
    },
    claims: {
      ...KUBERNETES,
      iss: 'https://container.googleapis.com/v1/projects/octo-project/locations/europe-west1/clusters/main',
    },
    ...KUBERNETES_RULE,
  },
  {
    name: 'Kubernetes on AKS, whose issuer ends with a slash',
    issuer: {
      preset: 'kubernetes',
      issuer:
        'https://westeurope.oic.prod-aks.azure.com/00000000-0000-4000-8000-000000000000/11111111-1111-4111-8111-111111111111/',
      replay: 'reusable',
    },
    claims: {
      ...KUBERNETES,
      iss: 'https://westeurope.oic.prod-aks.azure.com/00000000-0000-4000-8000-000000000000/11111111-1111-4111-8111-111111111111/',
    },
    ...KUBERNETES_RULE,
  },
  {
    name: 'Kubernetes of one’s own, with a token of a day',
    issuer: {
      preset: 'kubernetes',
      issuer: 'https://kubernetes.example.com',
      replay: 'once-per-target',
      max_lifetime: '24h',
    },
    claims: { ...KUBERNETES, iss: 'https://kubernetes.example.com' },
    ...KUBERNETES_RULE,
    lifetime: 86_400,
  },
  {
    name: 'AWS outbound identity federation, a Lambda function',
    issuer: {
      preset: 'aws-outbound',
      issuer: 'https://4f6a1b2c-3d4e-4f5a-8b6c-7d8e9f0a1b2c.tokens.sts.global.api.aws',
    },
    algorithm: 'ES384',
    claims: {
      iss: 'https://4f6a1b2c-3d4e-4f5a-8b6c-7d8e9f0a1b2c.tokens.sts.global.api.aws',
      jti: 'e5f0c1d2-5555-4666-8777-888899990000',
      sub: 'arn:aws:iam::111122223333:role/ledger-writer',
      'https://sts.amazonaws.com/': {
        aws_account: '111122223333',
        lambda_source_function_arn: 'arn:aws:lambda:eu-west-1:111122223333:function:ledger-writer',
        org_id: 'o-exampleorg1',
        ou_path: 'o-exampleorg1/r-root/ou-root-workloads/',
        principal_tags: { team: 'ledger' },
        request_tags: { job: 'nightly' },
        source_region: 'eu-west-1',
      },
    },
    lifetime: 300,
    when: {
      sub: 'arn:aws:iam::111122223333:role/ledger-writer',
      'https://sts.amazonaws.com/': {
        org_id: 'o-exampleorg1',
        principal_tags: { team: 'ledger' },
        ou_path: 'o-exampleorg1/**',
      },
    },
    stranger: {
      'https://sts.amazonaws.com/': {
        org_id: 'o-exampleorg1',
        principal_tags: {},
        ou_path: 'o-otherorg222/r-root/',
      },
    },
  },
  {
    name: 'Google, a service account',
    issuer: { preset: 'google' },
    algorithm: 'RS256',
    claims: {
      iss: 'https://accounts.google.com',
      sub: '113774264463038321964',
      azp: '113774264463038321964',
      email: 'worker@octo-project.iam.gserviceaccount.com',
      email_verified: true,
    },
    lifetime: 3600,
    when: { sub: '113774264463038321964', email_verified: true },
    stranger: { sub: '999999999999999999999' },
  },
  {
    name: 'Okta',
    issuer: { preset: 'okta', issuer: 'https://example.okta.com/oauth2/default' },
    algorithm: 'RS256',
    header: { typ: undefined },
    claims: {
      iss: 'https://example.okta.com/oauth2/default',
      ver: 1,
      jti: 'AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE',
      cid: '0oacqf8qaJw56czJi0g4',
      uid: '00ujmkLgagxeRrAg20g3',
      scp: ['openid', 'deploy'],
      auth_time: 1_799_999_940,
      sub: 'octo@example.com',
    },
    lifetime: 3600,
    when: { cid: '0oacqf8qaJw56czJi0g4', scp: 'deploy' },
    stranger: { scp: ['openid'] },
  },
  {
    name: 'Microsoft Entra ID, an application',
    issuer: {
      preset: 'entra',
      issuer: 'https://login.microsoftonline.com/72f988bf-0000-4000-8000-2d7cd011db47/v2.0',
    },
    algorithm: 'RS256',
    claims: {
      iss: 'https://login.microsoftonline.com/72f988bf-0000-4000-8000-2d7cd011db47/v2.0',
      azp: '6731de76-14a6-49ae-97bc-6eba6914391e',
      azpacr: '2',
      idtyp: 'app',
      oid: 'e602ad27-6efb-4e18-a0a2-63258ade8ef4',
      rh: '0.AAAA.',
      roles: ['Exchange'],
      sub: 'e602ad27-6efb-4e18-a0a2-63258ade8ef4',
      tid: '72f988bf-0000-4000-8000-2d7cd011db47',
      uti: 'rPSEsKsWVUOtCdnuZEAiAA',
      ver: '2.0',
    },
    lifetime: 3600,
    when: { oid: 'e602ad27-6efb-4e18-a0a2-63258ade8ef4', roles: 'Exchange' },
    stranger: { oid: 'ffffffff-6efb-4e18-a0a2-63258ade8ef4' },
  },
  {
    name: 'SPIFFE, without iss and jti',
    issuer: { preset: 'spiffe', issuer: 'spiffe://example.org', replay: 'reusable' },
    algorithm: 'ES256',
    claims: { sub: 'spiffe://example.org/ns/payments/sa/worker' },
    lifetime: 300,
    when: { sub: 'spiffe://example.org/ns/payments/sa/*' },
    stranger: { sub: 'spiffe://example.org/ns/default/sa/worker' },
  },
  {
    name: 'SPIFFE behind an OpenID Connect provider',
    issuer: { preset: 'spiffe', issuer: 'https://oidc.example.org', replay: 'once-per-target' },
    algorithm: 'RS256',
    header: { typ: 'JWT' },
    claims: { iss: 'https://oidc.example.org', sub: 'spiffe://example.org/ns/payments/sa/worker' },
    lifetime: 300,
    when: { sub: 'spiffe://example.org/ns/payments/sa/worker' },
    stranger: { sub: 'spiffe://example.org/ns/payments/sa/other' },
  },
  {
    name: 'any other OpenID Connect issuer',
    issuer: { issuer: 'https://login.example.com', algorithms: ['PS256'] },
    algorithm: 'PS256',
    claims: { iss: 'https://login.example.com', jti: 'a-1', sub: 'service-7', tenant: { id: 7 } },
    lifetime: 600,
    when: { sub: 'service-7', tenant: { id: 7 } },
    stranger: { tenant: { id: '7' } },
  },
]
