/** The dashboards, by the last part of their names. */
export type DashboardName = 'executive' | 'on-call' | 'debug'

/** Where a dashboard opens in the console. */
export function dashboardUrl(
  name: DashboardName,
  { region, prefix }: { readonly region: string; readonly prefix: string },
): string {
  return `https://console.aws.amazon.com/cloudwatch/home?region=${region}#dashboards/dashboard/${prefix}-${name}`
}
