import type { PolicyDocument } from './iam.ts'
import type { Trust } from './trust-policy.ts'

/** An `AWS::IAM::OIDCProvider`: an issuer that an account accepts tokens of. */
export interface OidcProvider {
  readonly arn: string
  /** The exact `iss` of its tokens. */
  readonly issuer: string
  /** Its ClientIdList: one of them must be the token's audience. */
  readonly clientIds: readonly string[]
}

/** An `AWS::IAM::Role` of some account. */
export interface AccountRole {
  readonly arn: string
  readonly trust: Trust
  /** Its MaxSessionDuration. */
  readonly maxSessionSeconds: number
  readonly policies: readonly PolicyDocument[]
}

/** What IAM has in other accounts, as far as STS asks it. */
export class IamAccounts {
  readonly #roles = new Map<string, AccountRole>()
  readonly #providers = new Map<string, OidcProvider>()
  readonly #organizations = new Map<string, string>()

  /** All roles, in the order in which they were added. */
  get roles(): readonly AccountRole[] {
    return [...this.#roles.values()]
  }

  addRole(role: AccountRole): void {
    this.#roles.set(role.arn, role)
  }

  addProvider(provider: OidcProvider): void {
    this.#providers.set(provider.arn, provider)
  }

  /** Says which organisation an account is in. */
  addOrganization(account: string, organization: string): void {
    this.#organizations.set(account, organization)
  }

  organization(account: string): string | undefined {
    return this.#organizations.get(account)
  }

  role(arn: string): AccountRole | undefined {
    return this.#roles.get(arn)
  }

  /** The account's provider for an issuer. */
  provider(account: string, issuer: string): OidcProvider | undefined {
    return [...this.#providers.values()].find(
      (provider) => provider.issuer === issuer && accountOf(provider.arn) === account,
    )
  }
}

/** The twelve digits in an ARN. */
export function accountOf(arn: string): string {
  return arn.split(':')[4] ?? ''
}

/** What the keys of a provider's conditions, and its ARN, begin with: its URL without the scheme. */
export function providerName(issuer: string): string {
  return issuer.replace(/^https?:\/\//, '')
}
