import { describe, expect, it } from 'vitest'
import { findingsIn, PAYMENTS, POLICY, withTarget } from './policy-fixture.ts'

const ROLE = 'arn:aws:iam::111122223333:role/deploy'

describe('what this version cannot do', () => {
  it.each([
    [
      'clients with certificates',
      { ...POLICY, clients: { checkout: { authentication: { method: 'tls_client_auth' } } } },
      'clients.checkout.authentication.method',
    ],
    [
      'clients with certificates of their own making',
      { ...POLICY, clients: { checkout: { authentication: { method: 'self_signed_tls_client_auth' } } } },
      'clients.checkout.authentication.method',
    ],
    ['mTLS', withTarget({ token: { binding: 'mtls' } }), 'targets.payments.token.binding'],
    [
      'AWS roles',
      { ...POLICY, targets: { payments: PAYMENTS, role: { aws_role: ROLE } } },
      'targets.role.aws_role',
    ],
  ])('is refused: %s', (_, policy, path) => {
    expect(findingsIn(policy)).toEqual([expect.stringContaining(`${path}: found ${path.split('.').at(-1)}`)])
    expect(findingsIn(policy).join()).toContain('is not available in this version')
  })

  it('is accepted where it is only named to be switched off', () => {
    expect(findingsIn(withTarget({ token: { format: 'jwt', binding: 'none' } }))).toEqual([])
    expect(findingsIn(withTarget({ token: { binding: 'dpop' } }))).toEqual([])
  })
})
