import { describe, expect, it } from 'vitest'
import { isMeasurement, shortLogLine } from '../../../lib/local/log-line.ts'

describe('a log line at the terminal', () => {
  it.each([
    [
      'a refusal, with its reason',
      {
        level: 'INFO',
        message: 'refused',
        audit: { reason: 'audience_not_in_policy', detail: { audience: 'https://x' }, correlation_id: 'c1' },
      },
      'refused: audience_not_in_policy {"audience":"https://x"} (c1)',
    ],
    [
      'a fault, with its cause',
      {
        level: 'ERROR',
        message: 'failed',
        correlation_id: 'c2',
        fault: {
          name: 'DependencyUnavailable',
          message: 'kms',
          cause: { name: 'TimeoutError', message: 'late' },
        },
      },
      'failed: DependencyUnavailable: kms: TimeoutError: late (c2)',
    ],
    ['an error without details', { level: 'ERROR', message: 'broken' }, 'ERROR: broken'],
  ])('is short for %s', (_, entry, expected) => {
    expect(shortLogLine(JSON.stringify(entry))).toBe(expected)
  })

  it('is what was written where that is not JSON', () => {
    expect(shortLogLine('Error: no')).toBe('Error: no')
  })

  it.each(['', JSON.stringify({ _aws: {} }), JSON.stringify({ level: 'INFO', message: 'fine' })])(
    'is left out for %j',
    (line) => {
      expect(shortLogLine(line)).toBeUndefined()
    },
  )
})

describe('a measurement', () => {
  it.each([
    [JSON.stringify({ _aws: { Timestamp: 1 } }), true],
    [JSON.stringify({ message: '"_aws"' }), false],
    [JSON.stringify({ _aws: 'no' }), false],
    ['"_aws"', false],
  ])('%s: %s', (line, expected) => {
    expect(isMeasurement(line)).toBe(expected)
  })

  it('is none for what the probe is refused on purpose, and one for what it finds wrong', () => {
    for (const by of [
      { issuer: '_probe' },
      { client_id: '_probe' },
      { author: '_probe' },
      { target: '_probe' },
    ])
      expect(
        shortLogLine(JSON.stringify({ message: 'refused', audit: { reason: 'token_replayed', ...by } })),
      ).toBeUndefined()
    const found = { level: 'ERROR', message: 'probe accepted', check: 'replay' }
    expect(shortLogLine(JSON.stringify(found))).toBe('ERROR: probe accepted replay')
  })
})
