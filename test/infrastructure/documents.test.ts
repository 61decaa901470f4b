import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import type { Template } from 'aws-cdk-lib/assertions'
import { describe, expect, it } from 'vitest'
import { openidConfiguration } from '../../functions/core/metadata.ts'
import { METRIC_UNITS } from '../../functions/telemetry.ts'
import { parseConfig } from '../../lib/config.ts'
import { awsTarget } from '../support/aws-roles.ts'
import { policyOf, resources, synthesize } from './synthesize.ts'

const text = (path: string) => readFileSync(path, 'utf8')
const API = text('docs/api.md')
const DEPLOY = text('docs/deploy.md')
const MONITORING = text('docs/monitoring.md')
const ARCHITECTURE = text('docs/architecture.md')
const PAGES = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', ...pagesIn('docs')]

const { state, service, monitoring } = synthesize({}, policyWithRole())

function pagesIn(folder: string): readonly string[] {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  return names.filter((name) => name.endsWith('.md')).map((name) => join(folder, name))
}

function outputsOf(template: Template): readonly string[] {
  const outputs = template.toJSON()['Outputs'] as Record<string, { readonly Description?: string }>
  // Those without a description are references between the stacks.
  return Object.entries(outputs).flatMap(([name, { Description }]) => (Description ? [name] : []))
}

function policyWithRole() {
  const policy = policyOf('kms', 'delegated')
  return { ...policy, targets: [...policy.targets, awsTarget()] }
}

const unnamedIn = (page: string, names: readonly string[]) =>
  names.filter((name) => !page.includes(`\`${name}\``))

/** GitHub's id of a heading. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-')

const anchorsOf = (page: string) =>
  [...page.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => anchorOf(heading))

describe('the documents', () => {
  it('name every output', () => {
    const outputs = [state, service, monitoring].flatMap(outputsOf)
    expect(outputs).toContain('TokenUrl')
    expect(unnamedIn(DEPLOY, outputs)).toEqual([])
  })

  it('name every key of the configuration', () => {
    const config = parseConfig({})
    expect(unnamedIn(DEPLOY, [...Object.keys(config), 'domain'])).toEqual([])
    expect(unnamedIn(MONITORING, Object.keys(config.monitoring))).toEqual([])
  })

  it('name every metric', () => {
    expect(unnamedIn(ARCHITECTURE, Object.keys(METRIC_UNITS))).toEqual([])
  })

  it('name every route, every claim and every error', () => {
    const routes = Object.values(resources(service, 'AWS::ApiGatewayV2::Route'))
    const paths = routes.map(({ Properties }) => String(Properties['RouteKey']).split(' ').at(-1) ?? '')
    expect(paths).toContain('/token')
    expect(paths.filter((path) => !API.includes(`${path}\``))).toEqual([])
    expect(unnamedIn(API, openidConfiguration('https://a.example', undefined).claims_supported)).toEqual([])
    const sources = ['functions/core/refusal.ts', 'functions/http/answer.ts'].map(text).join('')
    const errors = new Set([...sources.matchAll(/error: '(\w+)'/g)].map(([, error = '']) => error))
    expect(errors).toContain('invalid_target')
    expect(unnamedIn(API, [...errors])).toEqual([])
  })

  it('count the functions and tables that are there', () => {
    const rows = (heading: string) => {
      const [, section = ''] = ARCHITECTURE.split(`\n## ${heading}\n`)
      const [table = ''] = section.split('\n\n').filter((part) => part.trimStart().startsWith('|'))
      return new Set([...table.matchAll(/^\| `?([\w-]+)`?[^|]*\|/gm)].slice(1).map(([, name]) => name))
    }
    expect(rows('Functions').size).toBe(Object.keys(resources(service, 'AWS::Lambda::Function')).length)
    expect(rows('Tables').size).toBe(Object.keys(resources(state, 'AWS::DynamoDB::GlobalTable')).length)
  })

  it('link to pages and headings that exist', () => {
    const broken = PAGES.flatMap((path) =>
      [...text(path).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)/g)].flatMap(
        ([link, file = '', anchor]) => {
          const target = file === '' ? path : normalize(join(dirname(path), file))
          try {
            const known = anchor === undefined || anchorsOf(text(target)).includes(anchor)
            return known ? [] : [`${path}: ${link}`]
          } catch (error) {
            const isFolder = error instanceof Error && 'code' in error && error.code === 'EISDIR'
            return isFolder ? [] : [`${path}: ${link}`]
          }
        },
      ),
    )
    expect(broken).toEqual([])
  })

  it('number decisions without a gap, each by its own number', () => {
    const names = readdirSync('docs/decisions').sort()
    expect(names.map((name) => Number.parseInt(name, 10))).toEqual(names.map((_, at) => at + 1))
    for (const [at, name] of names.entries())
      expect(text(`docs/decisions/${name}`).split('\n')[0]).toMatch(new RegExp(`^# ${at + 1}\\. `))
  })
})
