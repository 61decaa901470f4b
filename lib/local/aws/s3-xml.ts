/** A list of elements with the same name. */
export type XmlValue = string | number | boolean | undefined | XmlObject | readonly XmlObject[]
export interface XmlObject {
  readonly [name: string]: XmlValue
}

const NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/'

/** An XML document as S3 sends it: a list becomes its element repeated. */
export function s3Xml(root: string, content: XmlObject): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${root} xmlns="${NAMESPACE}">${elements(content)}</${root}>`
}

function elements(content: XmlObject): string {
  return Object.entries(content)
    .map(([name, value]) =>
      isList(value) ? value.map((item) => element(name, item)).join('') : element(name, value),
    )
    .join('')
}

function element(name: string, value: Exclude<XmlValue, readonly XmlObject[]>): string {
  if (value === undefined) return ''
  return `<${name}>${typeof value === 'object' ? elements(value) : escaped(String(value))}</${name}>`
}

function isList(value: XmlValue): value is readonly XmlObject[] {
  return Array.isArray(value)
}

function escaped(text: string): string {
  return text.replace(/[<>&"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
