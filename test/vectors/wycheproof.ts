import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** One case of Project Wycheproof. What it holds beside its verdict differs from file to file. */
export interface Vector {
  readonly tcId: number
  readonly comment: string
  readonly result: 'valid' | 'invalid' | 'acceptable'
  readonly flags: readonly string[]
  readonly jws?: unknown
  readonly jwe?: unknown
  /** Hex. */
  readonly msg?: string
  /** Hex. */
  readonly sig?: string
}

export interface VectorGroup {
  readonly comment?: string
  /** A JWK or a JWK Set, where the key is not symmetric. */
  readonly public?: object
  readonly private?: object
  /** SPKI, hex. */
  readonly publicKeyDer?: string
  readonly tests: readonly Vector[]
}

/** The folder with Wycheproof's `*.json`: they are 6 MB, and no part of this repository. */
export const VECTORS = process.env['WYCHEPROOF_VECTORS'] ?? join('vectors', 'wycheproof')

/** The groups of a file, or none if the vectors are not there. */
export function vectorGroups(file: string): readonly VectorGroup[] {
  const path = join(VECTORS, `${file}.json`)
  if (!existsSync(path)) return []
  return (JSON.parse(readFileSync(path, 'utf8')) as { readonly testGroups: readonly VectorGroup[] })
    .testGroups
}
