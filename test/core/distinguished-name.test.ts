import { describe, expect, it } from 'vitest'
import { readDistinguishedName } from '../../functions/core/distinguished-name.ts'

const NAME = 'CN=pay,OU=Z\u00fcrich,O=Ex\\, Inc \\+ \\"q\\",C=DE'

describe('a distinguished name', () => {
  it.each([
    ['types in another case', 'cn=pay,ou=Z\u00fcrich,o=Ex\\, Inc \\+ \\"q\\",c=DE'],
    ['bytes escaped', 'CN=pay,OU=Z\\C3\\bcrich,O=Ex\\2C Inc \\+ \\"q\\",C=DE'],
    ['letters escaped that need not be', 'CN=\\70ay,OU=Z\u00fcrich,O=Ex\\, Inc \\+ \\"q\\",C=DE'],
  ])('is the same with %s', (_, text) => {
    expect(readDistinguishedName(text)).toBe(readDistinguishedName(NAME))
    expect(readDistinguishedName(NAME)).toBeDefined()
  })

  it('has parts of several values in any order', () => {
    expect(readDistinguishedName('CN=a+OU=b,C=DE')).toBe(readDistinguishedName('OU=b+CN=a,C=DE'))
  })

  it.each([
    ['values in another case', 'CN=Pay,OU=Z\u00fcrich,O=Ex\\, Inc \\+ \\"q\\",C=DE'],
    ['its parts the other way round', 'C=DE,O=Ex\\, Inc \\+ \\"q\\",OU=Z\u00fcrich,CN=pay'],
    ['a part less', 'CN=pay,OU=Z\u00fcrich,O=Ex\\, Inc \\+ \\"q\\"'],
    ['a part more', `${NAME},L=Berlin`],
    ['two parts in one', 'CN=pay+OU=Z\u00fcrich,O=Ex\\, Inc \\+ \\"q\\",C=DE'],
    ['a value that spells out two', 'CN=pay\\,OU=Z\u00fcrich,O=Ex\\, Inc \\+ \\"q\\",C=DE'],
    ['a space more', 'CN=pay\\ ,OU=Z\u00fcrich,O=Ex\\, Inc \\+ \\"q\\",C=DE'],
  ])('is another with %s', (_, text) => {
    expect(readDistinguishedName(text)).toBeDefined()
    expect(readDistinguishedName(text)).not.toBe(readDistinguishedName(NAME))
  })

  it.each([
    ['nothing', ''],
    ['no type', 'pay'],
    ['a space behind a comma', 'CN=pay, C=DE'],
    ['a space at the end', 'CN=pay '],
    ['a comma at the end', 'CN=pay,'],
    ['a plus at the end', 'CN=pay+'],
    ['a semicolon', 'CN=pay;C=DE'],
    ['quotes', 'CN="pay"'],
    ['a value in hex', 'CN=#0c03706179'],
    ['a lone backslash', 'CN=pay\\'],
    ['an escape that is none', 'CN=\\pay'],
    ['bytes that are no text', 'CN=\\ff'],
    ['OpenSSL\u2019s own form', '/C=DE/CN=pay'],
  ])('is not read from %s', (_, text) => {
    expect(readDistinguishedName(text)).toBeUndefined()
  })
})
