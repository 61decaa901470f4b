import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type CompileOptions, compilePolicy } from '../functions/core/policy/compile.ts'
import type { CompiledPolicy } from '../functions/core/policy/compiled.ts'
import {
  formatFinding,
  inReadingOrder,
  type PolicyFile,
  type PolicyFinding,
} from '../functions/core/policy/finding.ts'
import { lintPolicy } from '../functions/core/policy/lint.ts'
import { type ParsedFile, readPolicyFile } from './policy-yaml.ts'

/** A policy folder cannot be used. The message has a line for each finding. */
export class PolicyError extends Error {
  override readonly name = 'PolicyError'
  /** Empty if there is no folder to find anything in. */
  readonly findings: readonly PolicyFinding[]

  constructor(
    message: string,
    options: ErrorOptions & { readonly findings?: readonly PolicyFinding[] } = {},
  ) {
    super(message, options)
    this.findings = options.findings ?? []
  }
}

/** Reads and compiles the policy in `folder`. Throws {@link PolicyError} with everything that is wrong with it. */
export function loadPolicy(folder: string, options: Omit<CompileOptions, 'isPart'>): CompiledPolicy {
  const { files, findings } = parseFolder(folder)
  const result = compilePolicy(files, { ...options, isPart: findings.length > 0 })
  if ('policy' in result) return result.policy
  throw errorFor([...findings, ...result.findings])
}

/** One line for everything in `folder` that compiles to `policy` but trusts more than was probably meant. */
export function policyWarnings(folder: string, policy: CompiledPolicy): readonly string[] {
  return inReadingOrder(lintPolicy(readPolicyFolder(folder), policy)).map(formatFinding)
}

/**
 * Parses every `*.yaml` and `*.yml` directly in `folder`, but not `*.test.yaml`. Throws {@link PolicyError} if there is none, or if one is not
 * YAML 1.2, has a key twice or uses an alias.
 */
export function readPolicyFolder(folder: string): readonly PolicyFile[] {
  const { files, findings } = parseFolder(folder)
  if (findings.length > 0) throw errorFor(findings)
  return files
}

/** The files, and what is wrong with them as YAML: where there is anything, `files` are what is left. */
function parseFolder(folder: string): {
  readonly files: readonly PolicyFile[]
  readonly findings: readonly PolicyFinding[]
} {
  const names = policyFileNames(folder)
  if (names.length === 0)
    throw new PolicyError(
      `${folder}: found no policy file; write the policy to ${join(folder, 'policy.yaml')}`,
    )
  const parsed = names.map((name) => readFile(join(folder, name)))
  return {
    files: parsed.map((file) => ('file' in file ? file.file : file.rest)),
    findings: parsed.flatMap((file) => ('findings' in file ? file.findings : [])),
  }
}

/** Not reading what looks like a part of the policy would leave that part out. */
function readFile(path: string): ParsedFile {
  try {
    return readPolicyFile(path)
  } catch (cause) {
    throw new PolicyError(`${path}: found a name that cannot be read as a file; allowed: files`, { cause })
  }
}

/** Examples beside the policy, for `policy test`. */
export const TEST_FILE = /\.test\.ya?ml$/

function policyFileNames(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
      .filter((name) => /\.ya?ml$/.test(name) && !TEST_FILE.test(name))
      .toSorted()
  } catch (cause) {
    throw new PolicyError(
      `${folder}: found no folder; make it and write the policy to ${join(folder, 'policy.yaml')}`,
      {
        cause,
      },
    )
  }
}

function errorFor(findings: readonly PolicyFinding[]): PolicyError {
  return new PolicyError(inReadingOrder(findings).map(formatFinding).join('\n'), { findings })
}
