import type { JsonObject } from './aws-error.ts'

type Node = Map<string, Node | string>

/**
 * Reads the body of the AWS query protocol: `Tags.member.1.Key=a` becomes `{Tags: [{Key: 'a'}]}`. All leaves are
 * strings; an empty list is sent as an empty string.
 */
export function readQueryInput(body: string): JsonObject {
  const root: Node = new Map()
  for (const [name, value] of new URLSearchParams(body)) insert(root, name.split('.'), value)
  return Object.fromEntries([...root].map(([key, child]) => [key, plainValue(child)]))
}

function insert(node: Node, [key = '', ...rest]: readonly string[], value: string): void {
  if (rest.length === 0) {
    node.set(key, value)
    return
  }
  const known = node.get(key)
  const child: Node = known instanceof Map ? known : new Map()
  node.set(key, child)
  insert(child, rest, value)
}

function plainValue(node: Node | string): unknown {
  if (typeof node === 'string') return node
  const members = node.get('member')
  if (members instanceof Map) {
    return [...members].sort(([a], [b]) => Number(a) - Number(b)).map(([, member]) => plainValue(member))
  }
  return Object.fromEntries([...node].map(([key, child]) => [key, plainValue(child)]))
}
