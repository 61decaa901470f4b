import { readdirSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { isNode, Pair, parseDocument, Scalar, visit, YAMLMap } from 'yaml'
import { isPrivateUrl } from '../private-url.ts'
import type { JsonValue, Template, TemplateResource } from './assembly.ts'
import { IamAccounts } from './aws/iam-accounts.ts'
import { PolicyDefect } from './aws/iam-conditions.ts'
import { compileTrust, type Trust, type TrustPolicy } from './aws/trust-policy.ts'
import { isObject, TemplateDefect, textOf } from './intrinsics.ts'
import { rolePolicies } from './plan/plan-functions.ts'
import { listAt, ofType, textAt } from './plan/wiring.ts'
import { type ResolvedResource, resolveStacks } from './resolved-stacks.ts'
import { resourceType } from './resource-types.ts'

/** A CloudFormation template of an account that the broker gives out roles of. */
export interface AccountTemplate {
  /** For messages: the file's path. */
  readonly name: string
  /** Twelve digits. */
  readonly account: string
  readonly template: Template
}

const EXTENSIONS = ['.yaml', '.yml', '.json', '.template']
const ACCOUNT_IN_NAME = /(?<!\d)\d{12}(?!\d)/
/** What the longest session of a role is where its template does not say. Seconds. */
const SESSION_SECONDS = 3600
/** Short forms of YAML templates that are not called `Fn::…` in JSON. */
const PLAIN_FUNCTIONS = ['Ref', 'Condition']

/**
 * The templates in a folder. Each says its account in its file name (`111122223333-deploy.yaml`), or by
 * `Metadata.TokenBroker.Account`. Throws {@link TemplateDefect} for a file that is not a template, or says no account.
 */
export function readAccountTemplates(folder: string): readonly AccountTemplate[] {
  const names = readdirSync(folder)
    .filter((name) => EXTENSIONS.includes(extname(name)))
    .sort()
  if (names.length === 0) throw new TemplateDefect(folder, `has no template (${EXTENSIONS.join(', ')})`)
  return names.map((name) => {
    const path = join(folder, name)
    const template = parseTemplate(path, readFileSync(path, 'utf8'))
    return { name: path, account: accountOf(name, template), template }
  })
}

/** What IAM then has. Throws {@link TemplateDefect} for what the local cloud does not understand. */
export function accountsOf(templates: readonly AccountTemplate[], region: string): IamAccounts {
  const accounts = new IamAccounts()
  for (const { name, account, template } of templates) {
    const organization = metadataOf(template).Organization
    if (organization !== undefined) accounts.addOrganization(account, organization)
    const deployment = { account, region, apiEndpoint: 'http://127.0.0.1:0' }
    const stack = { name, template: onlyKnown(template), assets: new Map<string, string>() }
    const resources = resolveStacks([stack], deployment)
    for (const provider of ofType(resources, 'AWS::IAM::OIDCProvider')) addProvider(accounts, provider)
    const policies = rolePolicies(resources.map(withoutAwsManaged))
    for (const role of ofType(resources, 'AWS::IAM::Role')) {
      const { arn = '' } = role
      const maxSessionSeconds = Number(role.properties['MaxSessionDuration'] ?? SESSION_SECONDS)
      accounts.addRole({ arn, trust: trustOf(role), maxSessionSeconds, policies: policies.get(arn) ?? [] })
    }
  }
  return accounts
}

/** Parses a template, in YAML with its short forms or in JSON. Throws {@link TemplateDefect}. */
export function parseTemplate(name: string, text: string): Template {
  const document = parseDocument(text, { logLevel: 'error' })
  const [problem] = document.errors
  if (problem !== undefined) throw new TemplateDefect(name, problem.message)
  visit(document, {
    Node: (_, node) => {
      const short = isNode(node) && 'tag' in node ? node.tag?.match(/^!(\w+)$/)?.[1] : undefined
      if (short === undefined) return undefined
      delete node.tag
      const map = new YAMLMap()
      map.items = [new Pair(new Scalar(PLAIN_FUNCTIONS.includes(short) ? short : `Fn::${short}`), node)]
      return map
    },
  })
  const template = document.toJS() as JsonValue | undefined
  if (!isObject(template) || !isObject(template['Resources']))
    throw new TemplateDefect(name, 'is not a CloudFormation template: it has no Resources')
  return template as Template
}

function accountOf(fileName: string, template: Template): string {
  const account = metadataOf(template).Account ?? ACCOUNT_IN_NAME.exec(fileName)?.[0]
  if (account !== undefined && /^\d{12}$/.test(account)) return account
  throw new TemplateDefect(
    fileName,
    'its account is not known; name the file 111122223333-….yaml, or add Metadata.TokenBroker.Account',
  )
}

/** What a template says of its account, for the local cloud alone. */
function metadataOf(template: Template): {
  readonly Account?: string | undefined
  readonly Organization?: string | undefined
} {
  const { TokenBroker: own } = template.Metadata ?? {}
  const textIn = (name: string) => (isObject(own) ? textOf(own[name]) || undefined : undefined)
  return { Account: textIn('Account'), Organization: textIn('Organization') }
}

/** Without the resources that only AWS knows, and of those that are no matter of IAM only the names: roles may refer to them. */
function onlyKnown(template: Template): Template {
  const known = Object.entries(template.Resources ?? {}).flatMap(([id, resource]) => {
    const type = resourceType(resource.Type)
    return type === undefined ? [] : [[id, onlyNamed(resource, type.nameProperty)] as const]
  })
  return { ...template, Resources: Object.fromEntries(known), Outputs: {} }
}

function onlyNamed(resource: TemplateResource, nameProperty = ''): TemplateResource {
  if (resource.Type.startsWith('AWS::IAM::')) return resource
  const name = resource.Properties?.[nameProperty]
  return { Type: resource.Type, ...(name !== undefined && { Properties: { [nameProperty]: name } }) }
}

/** What AWS's own policies allow is not known here: such a session is allowed less, not more. */
function withoutAwsManaged(resource: ResolvedResource): ResolvedResource {
  const { ManagedPolicyArns: arns, ...properties } = resource.properties
  if (resource.type !== 'AWS::IAM::Role' || !Array.isArray(arns)) return resource
  const own = (arns as readonly JsonValue[]).filter((arn) => !/^arn:[\w-]+:iam::aws:/.test(textOf(arn)))
  return { ...resource, properties: { ...properties, ManagedPolicyArns: own } }
}

function addProvider(accounts: IamAccounts, { where, arn = '', properties }: ResolvedResource): void {
  const issuer = textAt(properties, 'Url', where)
  if (!isPrivateUrl(issuer)) throw new TemplateDefect(where, `Url ${issuer}: IAM takes https only`)
  const clientIds = listAt(properties, 'ClientIdList').map(textOf)
  accounts.addProvider({ arn, issuer, clientIds })
}

function trustOf({ where, properties }: ResolvedResource): Trust {
  try {
    return compileTrust(properties['AssumeRolePolicyDocument'] as unknown as TrustPolicy)
  } catch (error) {
    if (!(error instanceof PolicyDefect)) throw error
    throw new TemplateDefect(`${where}.Properties.AssumeRolePolicyDocument`, error.message)
  }
}
