import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LegSkipped } from './leg.ts'
import { exists, runOrThrow } from './processes.ts'

/** The project's folder. */
export const PROJECT = fileURLToPath(new URL('../..', import.meta.url))

/** Where everything is installed that the checks need and the product does not. */
export const CACHE = join(PROJECT, 'node_modules', '.cache', 'conformance')

/**
 * A Python environment with exactly these requirements, made if it is not there. Returns its `bin` folder. Throws
 * {@link LegSkipped} without Python or its registry.
 */
export async function pythonEnvironment(name: string, requirements: readonly string[]): Promise<string> {
  await needs('python3')
  const folder = join(CACHE, 'python', name)
  await installOnce(folder, requirements.join('\n'), async () => {
    await runOrThrow('python3', ['-m', 'venv', folder])
    await runOrThrow(join(folder, 'bin', 'pip'), ['install', '--quiet', ...requirements])
  })
  return join(folder, 'bin')
}

/**
 * A folder with exactly these npm packages, made if it is not there. Returns its `node_modules` folder. No install script
 * runs. Throws {@link LegSkipped} without the registry.
 */
export async function npmPackages(name: string, packages: Readonly<Record<string, string>>): Promise<string> {
  const folder = join(CACHE, 'npm', name)
  const manifest = JSON.stringify({ private: true, dependencies: packages })
  await installOnce(folder, manifest, async () => {
    writeFileSync(join(folder, 'package.json'), manifest)
    const quiet = ['--no-audit', '--no-fund', '--loglevel=error']
    await runOrThrow('npm', ['install', '--ignore-scripts', ...quiet], { cwd: folder })
  })
  return join(folder, 'node_modules')
}

/** An empty folder in the cache for a build, kept between runs as long as `content` stays the same. */
export async function buildOnce(
  name: string,
  content: string,
  build: (folder: string) => Promise<void>,
): Promise<string> {
  const folder = join(CACHE, 'build', name)
  await installOnce(folder, content, () => build(folder))
  return folder
}

/** Throws {@link LegSkipped} unless the command is there. */
export async function needs(command: string): Promise<void> {
  if (!(await exists(command))) throw new LegSkipped(`${command} is not installed`)
}

/** Runs `install` in an empty folder unless it has once succeeded with the same `content`. */
async function installOnce(folder: string, content: string, install: () => Promise<void>): Promise<void> {
  const mark = join(folder, '.installed')
  if (existsSync(mark) && readFileSync(mark, 'utf8') === content) return
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  try {
    await install()
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new LegSkipped(`could not be installed: ${reason.slice(-600)}`, { cause })
  }
  writeFileSync(mark, content)
}
