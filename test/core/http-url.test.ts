import { describe, expect, it } from 'vitest'
import { isSameHttpUrl } from '../../functions/core/http-url.ts'

const OURS = 'https://tokens.example.com/token'

describe('the URL that a proof is made for', () => {
  it.each([
    ['as it is', OURS],
    ['with a query', `${OURS}?a=b/c%zz`],
    ['with a fragment', `${OURS}#part`],
    ['with both', `${OURS}?#`],
    ['in capitals where case says nothing', 'HTTPS://Tokens.Example.COM/token'],
    ['with the default port', 'https://tokens.example.com:443/token'],
    ['with an empty port', 'https://tokens.example.com:/token'],
    ['with a needless escape', 'https://tokens.example.com/%74oken'],
    ['with dot segments', 'https://tokens.example.com/a/./../token'],
  ])('is ours %s', (_, url) => {
    expect(isSameHttpUrl(OURS, url)).toBe(true)
  })

  it.each([
    ['of another host', 'https://evil.example.com/token'],
    ['of another scheme', 'http://tokens.example.com/token'],
    ['of another port', 'https://tokens.example.com:8443/token'],
    ['of the default port of another scheme', 'https://tokens.example.com:80/token'],
    ['of another path', 'https://tokens.example.com/introspect'],
    ['of a path in capitals', 'https://tokens.example.com/Token'],
    ['with a slash at its end', `${OURS}/`],
    ['with two slashes', 'https://tokens.example.com//token'],
    ['with a dot segment at its end', `${OURS}/.`],
    ['with an escaped slash', 'https://tokens.example.com/a%2f..%2ftoken'],
    ['with a user', 'https://user@tokens.example.com/token'],
    ['with our host as its user', 'https://tokens.example.com@evil.example.com/token'],
    ['with a dot behind the host', 'https://tokens.example.com./token'],
    ['with an escaped host', 'https://tokens%2eexample.com/token'],
    ['with backslashes', 'https:\\\\tokens.example.com\\token'],
    ['without slashes', 'https:tokens.example.com/token'],
    ['with three slashes', 'https:///tokens.example.com/token'],
    ['with a space before it', ` ${OURS}`],
    ['with a line feed in it', 'https://tokens.example.com/to\nken'],
    ['with a letter that looks like another', 'https://tokens.ex\u0430mple.com/token'],
    ['that is a path', '/token'],
    ['that is empty', ''],
  ])('is not ours %s', (_, url) => {
    expect(isSameHttpUrl(OURS, url)).toBe(false)
  })

  it('has no path but a slash where it has none', () => {
    expect(isSameHttpUrl('https://tokens.example.com', 'https://tokens.example.com/')).toBe(true)
  })

  it('may be on loopback with a port', () => {
    expect(isSameHttpUrl('http://127.0.0.1:8080/token', 'http://127.0.0.1:8080/token?x')).toBe(true)
    expect(isSameHttpUrl('http://[::1]:8080/token', 'http://[::1]:8080/token')).toBe(true)
    expect(isSameHttpUrl('http://127.0.0.1:8080/token', 'http://127.1:8080/token')).toBe(false)
  })

  it('is never equal to itself where it is none', () => {
    expect(isSameHttpUrl('nonsense', 'nonsense')).toBe(false)
  })
})
