import type { Authorised } from './authorise.ts'
import type { TrustedIssuer } from './policy/compiled.ts'
import type { PolicyIndex } from './policy/decide.ts'
import type { ExchangeRecord, IssuedIdentity, SpentCredential } from './ports.ts'
import type { ValidatedSubject } from './subject-token.ts'

/** Kept beyond the last moment at which a token could still be presented. */
export const MARGIN_SECONDS = 60

/** What an idempotency key is bound to: the subject token, or its one use for this target. Ids contain no `#`. */
export function replayScopeOf(
  asked: Pick<Authorised, 'subject' | 'target'>,
  issuer: Pick<TrustedIssuer, 'replay'>,
): string {
  return usesOf(asked.subject, issuer, asked)
}

/** What may happen only once: a use of the subject token, or, where that is reusable, the issue of this one token. */
export function replayKeyOf(authorised: Authorised, issuer: TrustedIssuer, issued: IssuedIdentity): string {
  return issuer.replay === 'reusable' ? issued.id : replayScopeOf(authorised, issuer)
}

/**
 * What of this exchange's tokens is used up beside its record: the actor's token, where that may not be used again, and the
 * subject's, where another could take it for an actor's. One token has one use, not one in each role.
 *
 * A retry under an idempotency key claims in the name of the request, so that it finds its own claim.
 */
export function usesBeside(
  authorised: Authorised,
  issuers: { readonly subject: TrustedIssuer; readonly actor: TrustedIssuer | undefined },
  { record, policy }: { readonly record: ExchangeRecord; readonly policy: Pick<PolicyIndex, 'actorIssuers'> },
): readonly SpentCredential[] {
  const { subject, actor } = authorised
  const useOf = (token: ValidatedSubject, issuer: TrustedIssuer): readonly SpentCredential[] =>
    issuer.replay === 'reusable' || !policy.actorIssuers.has(issuer.id)
      ? []
      : [
          {
            kind: 'actor',
            id: usesOf(token, issuer, authorised),
            attempt: record.fingerprint ?? record.attempt,
            spentAt: record.recordedAt,
            expiresAt: token.expiresAt + 2 * issuer.clockSkewSeconds + MARGIN_SECONDS,
          },
        ]
  const { actor: actorIssuer } = issuers
  return [
    ...useOf(subject, issuers.subject),
    ...(actor === undefined || actorIssuer === undefined ? [] : useOf(actor, actorIssuer)),
  ]
}

function usesOf(
  token: ValidatedSubject,
  issuer: Pick<TrustedIssuer, 'replay'>,
  { target }: Pick<Authorised, 'target'>,
): string {
  return issuer.replay === 'once-per-target' ? `${token.tokenId}#${target.id}` : token.tokenId
}
