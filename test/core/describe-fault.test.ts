import { describe, expect, it } from 'vitest'
import { DependencyUnavailable, KeyRingFault, WrongSignature } from '../../functions/core/fault.ts'
import { describeFault } from '../../functions/describe-fault.ts'

describe('what is printed of a fault', () => {
  it.each([
    new DependencyUnavailable('kms', 'kms: ThrottlingException'),
    new WrongSignature('the signature by key k does not verify'),
    new KeyRingFault('KMS refuses to sign with key k'),
  ])('is its message where it is ours: %s', (fault) => {
    expect(describeFault(fault)).toMatchObject({ name: fault.name, message: fault.message })
  })

  it('is never the message of a foreign one, nor of a foreign cause', () => {
    const foreign = new TypeError('CANARY is not iterable')
    const printed = JSON.stringify([
      describeFault(foreign),
      describeFault(new DependencyUnavailable('dynamodb', 'dynamodb: TypeError', { cause: foreign })),
      describeFault('CANARY'),
    ])
    expect(printed).not.toContain('CANARY')
    expect(printed).toContain('TypeError')
    expect(describeFault(foreign)).toMatchObject({
      at: [expect.stringMatching(/^at /), ...Array(4).fill(expect.anything())],
    })
  })
})
