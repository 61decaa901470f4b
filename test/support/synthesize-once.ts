import type { TestProject } from 'vitest/node'
import type { CompiledPolicy } from '../../functions/core/policy/compiled.ts'
import { synthesize } from '../../lib/local/synthesize.ts'

declare module 'vitest' {
  interface ProvidedContext {
    assemblyFolder: string
    policy: CompiledPolicy
  }
}

/** Synthesizes the app once for all end-to-end tests of a run. */
export default function setup(project: TestProject): () => void {
  const { assemblyFolder, policy, dispose } = synthesize()
  project.provide('assemblyFolder', assemblyFolder)
  project.provide('policy', policy)
  return dispose
}
