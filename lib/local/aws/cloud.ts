/** Where the local cloud pretends to be, and what time it is there. */
export interface Cloud {
  readonly region: string
  /** Twelve digits. */
  readonly account: string
  /** Epoch milliseconds. */
  readonly clock: () => number
}

/** The ARN of a regional resource of this cloud. */
export function arnOf(cloud: Cloud, service: string, resource: string): string {
  return `arn:aws:${service}:${cloud.region}:${cloud.account}:${resource}`
}
