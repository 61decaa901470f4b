import type { AwsTarget } from '../../functions/core/policy/compiled.ts'
import { partsOf } from './role-template.ts'
import { type BrokerFacts, demandsOf, providerArn } from './target-trust.ts'

/** The lines of a CDK stack that make the role of an AWS target, as `roleTemplate` describes it. */
export function roleCdk(
  target: AwsTarget,
  { issuer, brokerRole }: BrokerFacts,
  { hasProvider = false }: { readonly hasProvider?: boolean | undefined } = {},
): string {
  const { path, roleName } = partsOf(target.roleArn)
  const { tags, transitiveTags, sourceIdentity } = demandsOf(target)
  const isWebIdentity = target.assume === 'web-identity'
  const imports = isWebIdentity && hasProvider
  const props: readonly (readonly [string, unknown])[] = [
    ['target', target.id],
    ...(isWebIdentity ? [['issuer', issuer] as const] : [['brokerRoleArn', brokerRole] as const]),
    ['externalId', isWebIdentity ? undefined : target.externalId],
    ['roleName', roleName],
    ['path', path === '/' ? undefined : path],
    ['sessionTags', Object.keys(tags).length > 0 ? tags : undefined],
    ['transitiveTags', transitiveTags.length > 0 ? transitiveTags : undefined],
    ['sourceIdentity', sourceIdentity],
  ]
  const provider = `OidcProviderNative.fromOidcProviderArn(this, 'TokenBroker', ${literal(providerArn(target.roleArn, issuer))})`
  return [
    ...(imports ? ["import { OidcProviderNative } from 'aws-cdk-lib/aws-iam'"] : []),
    "import { BrokeredRole } from 'token-broker/lib/constructs/brokered-role.ts'",
    '',
    `const role = new BrokeredRole(this, ${literal(constructId(target.id))}, {`,
    ...props.flatMap(([name, value]) => (value === undefined ? [] : [`  ${name}: ${literal(value)},`])),
    ...(imports ? [`  provider: ${provider},`] : []),
    '})',
  ].join('\n')
}

function constructId(id: string): string {
  return id.replaceAll(/(?:^|[-_])([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}

/** JSON is TypeScript; single quotes where nothing in the text minds. */
function literal(value: unknown): string {
  return typeof value === 'string' && !/['\\]/.test(value) ? `'${value}'` : JSON.stringify(value)
}
