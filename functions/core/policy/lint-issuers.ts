import type { CompiledPolicy, TrustedIssuer } from './compiled.ts'
import type { PolicyPath } from './finding.ts'

interface IssuerWarning {
  readonly path: PolicyPath
  readonly message: string
}

/**
 * Audiences that whole platforms use, or hand out where none is asked for. A token with one of them was made for
 * somebody else too, who could present it here.
 */
const SHARED_AUDIENCES: readonly RegExp[] = [
  /^sts\.amazonaws\.com$/,
  /^https:\/\/kubernetes\.default\.svc/,
  /^api:\/\/AzureADTokenExchange$/,
  /^(sigstore|vault|default|api)$/,
  /^https:\/\/github\.com\/[^/]+$/,
  /^https:\/\/gitlab\.com$/,
  /^https:\/\/iam\.googleapis\.com\//,
  /^https:\/\/oidc\.eks\./,
]

/** Platforms that hand out one token again and again until it nearly expires. */
const REUSED_TOKENS: Readonly<Record<string, string>> = {
  kubernetes: 'a pod reads the same token for most of its life',
  spiffe: 'agents keep a token until half of its life is over, and it has no jti',
}

/** Warnings about the issuers of a policy, by their path from the top. */
export function lintIssuers(policy: CompiledPolicy): readonly IssuerWarning[] {
  return policy.issuers.flatMap((issuer) => [...warnOfSharedAudiences(issuer), ...warnOfReplay(issuer)])
}

function warnOfSharedAudiences({ id, audiences }: TrustedIssuer): readonly IssuerWarning[] {
  return audiences.flatMap((audience, at) =>
    SHARED_AUDIENCES.some((shared) => shared.test(audience))
      ? [
          {
            path: ['issuers', id, 'audiences', at],
            message:
              'found an audience that others accept too; allowed, but safer: one that only this broker has, such as its own URL',
          },
        ]
      : [],
  )
}

function warnOfReplay({ id, preset, replay }: TrustedIssuer): readonly IssuerWarning[] {
  const reason = preset === undefined ? undefined : REUSED_TOKENS[preset]
  if (reason === undefined || replay !== 'single-use') return []
  return [
    {
      path: ['issuers', id],
      message: `found replay single-use, but ${reason}: its second exchange is refused; allowed, but better: reusable or once-per-target`,
    },
  ]
}
