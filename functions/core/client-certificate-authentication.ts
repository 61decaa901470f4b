import type { ClientAuthenticationFailure } from './client-authentication.ts'
import { type ClientCertificate, isCertificateOf } from './client-certificate.ts'
import type { CertificateName, Client, ClientAuthenticationMethod } from './policy/compiled.ts'
import type { ClientKeys } from './ports.ts'
import { type PresentedCertificate, usableCertificate } from './possession.ts'
import { holderOf } from './registered-keys.ts'

/** The methods by which the certificate of the connection proves who the client is (RFC 8705 §2). */
export type CertificateMethod = Extract<
  ClientAuthenticationMethod,
  { readonly method: 'tls_client_auth' | 'self_signed_tls_client_auth' }
>

/** The client's method, if it is one of those. */
export function certificateMethodOf({ authentication }: Client): CertificateMethod | undefined {
  const { method } = authentication
  return method === 'tls_client_auth' || method === 'self_signed_tls_client_auth' ? authentication : undefined
}

/**
 * Why the certificate of the connection is not that of the client, or `undefined` if it is. API Gateway has verified that
 * somebody in the truststore stands for it; whose it is, and whether it is valid today, is looked at here. `now` in epoch
 * seconds. Throws {@link DependencyUnavailable} if the client's keys cannot be read.
 */
export async function refuseCertificate(
  client: Client,
  method: CertificateMethod,
  presented: PresentedCertificate,
  { clientKeys, now }: { readonly clientKeys: ClientKeys; readonly now: number },
): Promise<ClientAuthenticationFailure | undefined> {
  const certificate = usableCertificate(presented, now)
  if (typeof certificate === 'string') return certificate
  switch (method.method) {
    case 'tls_client_auth':
      return hasName(certificate, method.name) ? undefined : 'certificate_of_another_name'
    case 'self_signed_tls_client_auth': {
      const isOfClient = await clientKeys.findKey(holderOf(client, method.keys), (key) =>
        isCertificateOf(key, certificate),
      )
      return isOfClient === undefined ? 'certificate_not_registered' : undefined
    }
  }
}

/** Exactly the name that is registered, and of its kind: a common name is no host, and a wildcard stands for nothing. */
function hasName(certificate: ClientCertificate, { kind, value }: CertificateName): boolean {
  return kind === 'subject' ? certificate.subject === value : certificate.names[kind].includes(value)
}
