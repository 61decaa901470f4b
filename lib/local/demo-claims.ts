import { randomUUID } from 'node:crypto'
import type { JsonObject } from './assembly.ts'

/** A kind of issuer that the demo issuer can stand in for. */
export interface DemoPreset {
  /** `iss` where the policy trusts no issuer of this kind. */
  readonly issuer: string
  /** Which issuer URLs are of this kind. A compiled policy does not keep the preset that an issuer came from. */
  readonly matches: RegExp
  readonly lifetimeSeconds: number
  /** Claims beside `iss`, `aud`, `iat` and `exp`; `iss: null` where tokens have none. `now` in epoch seconds. */
  readonly claims: (now: number) => JsonObject
}

const GITHUB_REPOSITORY = 'octo-org/payments'
const GITHUB_SHA = '1f0c3b5a9e7d4c2b8a6f0e1d3c5b7a9f2e4d6c8b'
const GITHUB: DemoPreset = {
  issuer: 'https://token.actions.githubusercontent.com',
  matches: /^https:\/\/(token\.actions\.|[^/]+\/_services\/token)/,
  lifetimeSeconds: 300,
  claims: (now) => ({
    jti: randomUUID(),
    nbf: now,
    sub: `repo:${GITHUB_REPOSITORY}:ref:refs/heads/main`,
    actor: 'octocat',
    actor_id: '583231',
    base_ref: '',
    check_run_id: '30123456789',
    event_name: 'push',
    head_ref: '',
    job_workflow_ref: `${GITHUB_REPOSITORY}/.github/workflows/deploy.yml@refs/heads/main`,
    job_workflow_sha: GITHUB_SHA,
    ref: 'refs/heads/main',
    ref_protected: 'true',
    ref_type: 'branch',
    repository: GITHUB_REPOSITORY,
    repository_id: '123456',
    repository_owner: 'octo-org',
    repository_owner_id: '987654',
    repository_visibility: 'private',
    run_attempt: '1',
    run_id: '17712345678',
    run_number: '42',
    runner_environment: 'github-hosted',
    sha: GITHUB_SHA,
    workflow: 'deploy',
    workflow_ref: `${GITHUB_REPOSITORY}/.github/workflows/deploy.yml@refs/heads/main`,
    workflow_sha: GITHUB_SHA,
  }),
}

/** Every kind, by the name that policy files use for it; `-immutable` is GitHub's `sub` of repositories since July 2026. */
export const DEMO_PRESETS: Readonly<Record<string, DemoPreset>> = {
  'github-actions': GITHUB,
  'github-actions-immutable': {
    ...GITHUB,
    claims: (now) => ({
      ...GITHUB.claims(now),
      sub: 'repo:octo-org@987654/payments@123456:ref:refs/heads/main',
    }),
  },
  gitlab: {
    issuer: 'https://gitlab.com',
    matches: /^https:\/\/gitlab\./,
    lifetimeSeconds: 300,
    claims: (now) => ({
      jti: randomUUID(),
      nbf: now - 5,
      sub: 'project_path:octo-group/ledger:ref_type:branch:ref:main',
      ci_config_ref_uri: 'gitlab.com/octo-group/ledger//.gitlab-ci.yml@refs/heads/main',
      ci_config_sha: GITHUB_SHA,
      job_id: '8812345',
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
      sha: GITHUB_SHA,
      user_access_level: 'maintainer',
      user_email: 'octo@example.com',
      user_id: '9001',
      user_login: 'octo',
    }),
  },
  circleci: {
    issuer: 'https://oidc.circleci.com/org/00000000-0000-4000-8000-000000000000',
    matches: /^https:\/\/oidc\.circleci\.com\/org\//,
    lifetimeSeconds: 3600,
    claims: () => {
      const organization = '00000000-0000-4000-8000-000000000000'
      const project = '11111111-1111-4111-8111-111111111111'
      return {
        sub: `org/${organization}/project/${project}/user/22222222-2222-4222-8222-222222222222`,
        'oidc.circleci.com/context-ids': ['33333333-3333-4333-8333-333333333333'],
        'oidc.circleci.com/job-id': randomUUID(),
        'oidc.circleci.com/pipeline-id': randomUUID(),
        'oidc.circleci.com/project-id': project,
        'oidc.circleci.com/ssh-rerun': false,
        'oidc.circleci.com/vcs-origin': 'github.com/octo-org/payments',
        'oidc.circleci.com/vcs-ref': 'refs/heads/main',
        'oidc.circleci.com/workflow-id': randomUUID(),
      }
    },
  },
  buildkite: {
    issuer: 'https://agent.buildkite.com',
    matches: /^https:\/\/agent\.buildkite\.com/,
    lifetimeSeconds: 300,
    claims: (now) => ({
      nbf: now,
      sub: `organization:octo-org:pipeline:payments:ref:refs/heads/main:commit:${GITHUB_SHA}:step:deploy`,
      agent_id: randomUUID(),
      build_branch: 'main',
      build_commit: GITHUB_SHA,
      build_number: 42,
      build_source: 'webhook',
      job_id: randomUUID(),
      organization_id: '44444444-4444-4444-8444-444444444444',
      organization_slug: 'octo-org',
      pipeline_id: '55555555-5555-4555-8555-555555555555',
      pipeline_slug: 'payments',
      runner_environment: 'self-hosted',
      step_key: 'deploy',
    }),
  },
  kubernetes: {
    issuer: 'https://oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE0123456789ABCDEF',
    matches:
      /^https:\/\/(oidc\.eks\.|container\.googleapis\.com\/|kubernetes\.default\.svc|[^/]+\.oic\.prod-aks\.azure\.com\/)/,
    lifetimeSeconds: 3600,
    claims: (now) => ({
      jti: randomUUID(),
      nbf: now,
      sub: 'system:serviceaccount:payments:worker',
      'kubernetes.io': {
        namespace: 'payments',
        node: {
          name: 'ip-10-0-1-23.eu-west-1.compute.internal',
          uid: '66666666-6666-4666-8666-666666666666',
        },
        pod: { name: 'worker-5d9c7b8f6-x2x7k', uid: '77777777-7777-4777-8777-777777777777' },
        serviceaccount: { name: 'worker', uid: '88888888-8888-4888-8888-888888888888' },
        warnafter: now + 3607,
      },
    }),
  },
  'aws-outbound': {
    issuer: 'https://00000000-0000-4000-8000-000000000000.tokens.sts.global.api.aws',
    matches: /^https:\/\/[^/]+\.tokens\.sts\.global\.api\.aws/,
    lifetimeSeconds: 300,
    claims: () => ({
      jti: randomUUID(),
      sub: 'arn:aws:iam::111122223333:role/ledger-writer',
      'https://sts.amazonaws.com/': {
        aws_account: '111122223333',
        lambda_source_function_arn: 'arn:aws:lambda:eu-west-1:111122223333:function:ledger-writer',
        org_id: 'o-exampleorg1',
        ou_path: 'o-exampleorg1/r-root/ou-root-workloads/',
        principal_tags: { team: 'ledger' },
        request_tags: {},
        source_region: 'eu-west-1',
      },
    }),
  },
  google: {
    issuer: 'https://accounts.google.com',
    matches: /^https:\/\/accounts\.google\.com$/,
    lifetimeSeconds: 3600,
    claims: () => ({
      sub: '113774264463038321964',
      azp: '113774264463038321964',
      email: 'worker@octo-project.iam.gserviceaccount.com',
      email_verified: true,
      google: {
        compute_engine: {
          instance_id: '7712345678901234567',
          instance_name: 'worker-1',
          project_id: 'octo-project',
          project_number: 123456789012,
          zone: 'europe-west1-b',
        },
      },
    }),
  },
  okta: {
    issuer: 'https://example.okta.com/oauth2/default',
    matches: /^https:\/\/[^/]+\.okta(preview|-emea)?\.com(\/oauth2\/|$)/,
    lifetimeSeconds: 3600,
    claims: (now) => ({
      ver: 1,
      jti: `AT.${randomUUID()}`,
      cid: '0oaexampleclient0h7',
      uid: '00uexampleuser00h7',
      scp: ['openid', 'deploy'],
      auth_time: now - 60,
      sub: 'octo@example.com',
    }),
  },
  entra: {
    issuer: 'https://login.microsoftonline.com/00000000-0000-4000-8000-000000000000/v2.0',
    matches: /^https:\/\/(login\.microsoftonline\.com|sts\.windows\.net)\//,
    lifetimeSeconds: 3600,
    claims: (now) => ({
      nbf: now,
      azp: '99999999-9999-4999-8999-999999999999',
      azpacr: '2',
      idtyp: 'app',
      oid: 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa',
      rh: '1.AAAA.',
      roles: ['Exchange'],
      sub: 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa',
      tid: '00000000-0000-4000-8000-000000000000',
      uti: randomUUID(),
      ver: '2.0',
    }),
  },
  spiffe: {
    issuer: 'spiffe://example.org',
    matches: /^spiffe:\/\//,
    lifetimeSeconds: 300,
    claims: () => ({ iss: null, sub: 'spiffe://example.org/ns/payments/sa/worker' }),
  },
}

/** Claims for an issuer of no known kind. */
export const PLAIN_CLAIMS = (): JsonObject => ({ jti: randomUUID(), sub: 'demo-subject' })
export const PLAIN_LIFETIME_SECONDS = 300
