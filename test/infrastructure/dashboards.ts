import type { Template } from 'aws-cdk-lib/assertions'
import { readable, resources } from './synthesize.ts'

/** A widget of a dashboard, as far as tests look at it. */
export interface DashboardWidget {
  readonly type: 'alarm' | 'text' | 'metric' | 'log'
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
  readonly properties: {
    readonly title?: string
    readonly markdown?: string
    readonly query?: string
    readonly alarms?: readonly string[]
    readonly metrics?: readonly (readonly unknown[])[]
    readonly insightRule?: { readonly ruleName: string }
    readonly annotations?: {
      readonly horizontal: readonly { readonly value: number; readonly label: string }[]
    }
    readonly yAxis?: { readonly left?: { readonly label?: string } }
    readonly view?: string
    readonly stacked?: boolean
  }
}

export interface DashboardBody {
  readonly start: string
  readonly variables: readonly { readonly id: string }[]
  readonly widgets: readonly DashboardWidget[]
}

/** The dashboards of a template, by their names without the prefix of the deployment. */
export function dashboardsOf(template: Template): ReadonlyMap<string, DashboardBody> {
  return new Map(
    Object.values(resources(template, 'AWS::CloudWatch::Dashboard')).map(({ Properties }) => {
      const body = String(readable(Properties['DashboardBody'])).replaceAll('[object Object]', 'imported')
      const name = String(Properties['DashboardName']).replace('token-broker-dev-', '')
      return [name, JSON.parse(body) as DashboardBody]
    }),
  )
}
