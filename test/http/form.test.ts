import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readProxyEvent } from '../../functions/http/event.ts'
import { readForm } from '../../functions/http/form.ts'

const FORM = 'application/x-www-form-urlencoded'

function formOf(body: string, changes: Record<string, unknown> = {}, contentType = FORM) {
  const event = {
    httpMethod: 'POST',
    path: '/token',
    multiValueHeaders: { 'Content-Type': [contentType] },
    body,
    ...changes,
  }
  return readForm(readProxyEvent(event))
}

describe('the form reader', () => {
  it('decodes percent encoding and plus signs', () => {
    expect(formOf('a=1+2&b=%C3%A4%26&&c')).toEqual([
      ['a', '1 2'],
      ['b', 'ä&'],
      ['c', ''],
    ])
  })

  it('decodes a base64 body', () => {
    expect(formOf(Buffer.from('a=1').toString('base64'), { isBase64Encoded: true })).toEqual([['a', '1']])
  })

  it.each([FORM, `${FORM}; charset=UTF-8`, `${FORM.toUpperCase()};charset="utf-8"`])('accepts %s', (type) => {
    expect(formOf('a=1', {}, type)).toEqual([['a', '1']])
  })

  it.each([
    ['a lone percent sign', formOf('a=%'), 'body_malformed'],
    ['a percent sign before what is no hex', formOf('a=%zz'), 'body_malformed'],
    ['bytes that are not UTF-8', formOf('a=%ff'), 'body_malformed'],
    ['overlong UTF-8', formOf('a=%c0%af'), 'body_malformed'],
    ['a NUL', formOf('a=%00'), 'body_malformed'],
    ['a body that lies about base64', formOf('a=1', { isBase64Encoded: true }), 'body_malformed'],
    [
      '65 parameters',
      formOf(Array.from({ length: 65 }, (_, i) => `p${i}=1`).join('&')),
      'too_many_parameters',
    ],
    ['a hundred thousand empty parameters', formOf('&a='.repeat(20_000)), 'too_many_parameters'],
    ['more than 64 KiB', formOf(`a=${'x'.repeat(64 * 1024)}`), 'body_too_large'],
    ['JSON', formOf('{}', {}, 'application/json'), 'media_type_not_supported'],
    ['another charset', formOf('a=1', {}, `${FORM}; charset=utf-16`), 'media_type_not_supported'],
    ['no content type', formOf('a=1', { multiValueHeaders: {} }), 'media_type_not_supported'],
    [
      'two content types',
      formOf('a=1', { multiValueHeaders: { 'content-type': [FORM, FORM] } }),
      'media_type_not_supported',
    ],
    [
      'compression',
      formOf('a=1', { multiValueHeaders: { 'content-type': [FORM], 'content-encoding': ['gzip'] } }),
      'media_type_not_supported',
    ],
    ['a query', formOf('a=1', { queryStringParameters: { a: '1' } }), 'parameters_in_query'],
    [
      'a repeated query',
      formOf('a=1', { multiValueQueryStringParameters: { a: ['1', '2'] } }),
      'parameters_in_query',
    ],
  ])('refuses %s', (_name, form, kind) => {
    expect(form).toEqual({ refused: { kind } })
  })

  it('reads any event whatever, and keeps repeated headers apart', () => {
    fc.assert(
      fc.property(fc.anything(), (event) => {
        readForm(readProxyEvent(event))
      }),
    )
    const event = { headers: { DPoP: 'b' }, multiValueHeaders: { DPoP: ['a', 'b'] } }
    expect(readProxyEvent(event).header('dpop')).toEqual(['a', 'b'])
  })
})
