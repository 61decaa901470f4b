import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

interface LockedPackage {
  readonly resolved?: string
  readonly integrity?: string
  /** Comes inside its parent's archive. */
  readonly inBundle?: boolean
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

const REGISTRY = 'https://registry.npmjs.org/'
const file = readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8')
const { packages } = JSON.parse(file) as { readonly packages: Readonly<Record<string, LockedPackage>> }

/** The places where Node would look for `name` from the package at `path`, nearest first. */
function candidates(path: string, name: string): readonly string[] {
  const parents = path
    .split('/node_modules/')
    .map((_, index, parts) => parts.slice(0, index + 1).join('/node_modules/'))
  return [
    ...new Set([
      ...parents.reverse().map((parent) => `${parent}/node_modules/${name}`),
      `node_modules/${name}`,
    ]),
  ]
}

function missing(): readonly string[] {
  return Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies)
      .filter((name) => !candidates(path, name).some((candidate) => candidate in packages))
      .map((name) => `${path} needs ${name}`),
  )
}

describe('package-lock.json', () => {
  // A release whose binaries are not all on npm yet locks without the missing ones, and `npm ci` then fails elsewhere.
  it('locks the binaries of every platform', () => {
    expect(Object.values(packages).some((each) => each.optionalDependencies)).toBe(true)
    expect(missing()).toEqual([])
  })

  it('has the hash of every package, and takes none from anywhere but the registry', () => {
    const unsafe = Object.entries(packages).filter(
      ([path, { resolved, integrity = '', inBundle }]) =>
        path !== '' &&
        !inBundle &&
        !(integrity.startsWith('sha512-') && (resolved ?? REGISTRY).startsWith(REGISTRY)),
    )
    expect(unsafe.map(([path]) => path)).toEqual([])
  })
})
