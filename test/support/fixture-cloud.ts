import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { App } from 'aws-cdk-lib'
import { afterAll, expect } from 'vitest'
import { type LocalCloud, type LocalCloudOptions, startLocalCloud } from '../../lib/local/cloud.ts'
import type { CloudDefect } from '../../lib/local/cloud-defect.ts'
import { addFixtureStacks, type FixtureOptions } from './fixture-app.ts'

const folders: string[] = []
// Of the test file that imports this: workers are ended without an `exit` event.
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

/** Synthesizes the fixture app. `weak` picks how stacks refer to each other. */
export function synthesizeFixture(
  options: FixtureOptions = {},
  references: 'weak' | 'strong' = 'weak',
): string {
  const outdir = mkdtempSync(join(tmpdir(), 'fixture-'))
  folders.push(outdir)
  const context = { '@aws-cdk/core:defaultCrossStackReferences': references }
  const app = new App({ outdir, context, builtinCloudFormationValidation: false, treeMetadata: false })
  addFixtureStacks(app, options)
  app.synth()
  return outdir
}

export interface FixtureCloud {
  readonly cloud: LocalCloud
  readonly defects: CloudDefect[]
  /** Log lines that are JSON, by function. */
  readonly logged: { readonly functionName: string; readonly entry: Record<string, unknown> }[]
  request(path: string, init?: RequestInit): Promise<Response>
  /** Resolves when so many invocations that hang have begun. */
  hanging(invocations?: number): Promise<void>
}

/** The fixture app, running; defects are collected. */
export async function startFixture(
  assemblyFolder: string,
  options: Partial<LocalCloudOptions> = {},
): Promise<FixtureCloud> {
  const defects: CloudDefect[] = []
  const logged: FixtureCloud['logged'] = []
  const cloud = await startLocalCloud({
    assemblyFolder,
    onDefect: (defect) => defects.push(defect),
    onLog: (functionName, line) => {
      if (line.startsWith('{'))
        logged.push({ functionName, entry: JSON.parse(line) as Record<string, unknown> })
    },
    ...options,
  })
  return {
    cloud,
    defects,
    logged,
    request: (path, init) => fetch(`${cloud.url}${path}`, init),
    hanging: async (invocations = 1) => {
      const begun = () => logged.filter(({ entry }) => entry['message'] === 'hanging')
      await expect.poll(begun).toHaveLength(invocations)
    },
  }
}
