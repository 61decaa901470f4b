import { describe, expect, it } from 'vitest'
import { findingsIn, PAYMENTS, POLICY } from './policy-fixture.ts'

const ROLE = 'arn:aws:iam::111122223333:role/deploy'

describe('what this version cannot do', () => {
  it.each([
    [
      'AWS roles',
      { ...POLICY, targets: { payments: PAYMENTS, role: { aws_role: ROLE } } },
      'targets.role.aws_role',
    ],
  ])('is refused: %s', (_, policy, path) => {
    expect(findingsIn(policy)).toEqual([expect.stringContaining(`${path}: found ${path.split('.').at(-1)}`)])
    expect(findingsIn(policy).join()).toContain('is not available in this version')
  })
})
