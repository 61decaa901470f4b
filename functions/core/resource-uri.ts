const ABSOLUTE_URI = /^[a-z][a-z0-9+.-]*:[\x21\x24-\x5b\x5d-\x7e]+$/i

/** Whether `resource` is an absolute URI without fragment (RFC 8707 §2), in ASCII and without quotes. */
export function isResourceUri(resource: string): boolean {
  return ABSOLUTE_URI.test(resource) && URL.canParse(resource)
}
