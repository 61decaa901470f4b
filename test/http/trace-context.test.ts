import { describe, expect, it } from 'vitest'
import { StageClock } from '../../functions/http/stage-clock.ts'
import { readTraceparent, traceparentOf } from '../../functions/http/trace-context.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const PARENT = 'b7ad6b7169203331'

describe('the trace of a request', () => {
  it.each(['00', '01'])('is read from traceparent and carried in the answer, with flags %s', (flags) => {
    const traceparent = `00-${TRACE}-${PARENT}-${flags}`
    const read = readTraceparent([traceparent])
    expect(read).toEqual({ traceId: TRACE, parentId: PARENT, isSampled: flags === '01' })
    expect(read && traceparentOf(read)).toBe(traceparent)
  })

  it('is also read from a later version, and carried in ours', () => {
    const read = readTraceparent([`cc-${TRACE}-${PARENT}-03`])
    expect(read && traceparentOf(read)).toBe(`00-${TRACE}-${PARENT}-01`)
  })

  it.each([
    [[]],
    [['']],
    [[`ff-${TRACE}-${PARENT}-01`]],
    [[`00-${'0'.repeat(32)}-${PARENT}-01`]],
    [[`00-${TRACE}-${'0'.repeat(16)}-01`]],
    [[`00-${TRACE.toUpperCase()}-${PARENT}-01`]],
    [[`00-${TRACE}-${PARENT}`]],
    [[`00-${TRACE}-${PARENT}-01\r\nx: y`]],
    [[`00-${TRACE}-${PARENT}-01`, `00-${TRACE}-${PARENT}-01`]],
  ])('is none for %j', (values) => {
    expect(readTraceparent(values)).toBeUndefined()
  })
})

describe('the stages of a request', () => {
  it('follow one another without a gap, the last until the end', () => {
    const clock = new StageClock(performance.now())
    clock.enter('verify')
    clock.enter('policy')
    const times = clock.until(performance.now())
    expect(times.map(({ stage }) => stage)).toEqual(['parse', 'verify', 'policy'])
    for (const [at, { fromMs, toMs }] of times.entries()) {
      expect(toMs).toBeGreaterThanOrEqual(fromMs)
      expect(times[at + 1]?.fromMs ?? toMs).toBe(toMs)
    }
  })
})
