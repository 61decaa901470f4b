import { createHash, randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export type RetentionMode = 'GOVERNANCE' | 'COMPLIANCE'

/** Until when, epoch milliseconds, a version can't be deleted. */
export interface Retention {
  readonly mode: RetentionMode
  readonly until: number
}

/** One version of an object, as it is kept. */
export interface ObjectVersion {
  readonly key: string
  readonly versionId: string
  /** Grows with every write to the bucket: the newest version is the current one. */
  readonly order: number
  /** Without a body: the key counts as deleted since then. */
  readonly isDeleteMarker: boolean
  /** Base64. */
  readonly body: string
  readonly contentType: string
  /** `x-amz-checksum-…` headers that the writer sent and that held. */
  readonly checksums: Readonly<Record<string, string>>
  /** Epoch milliseconds. */
  readonly writtenAt: number
  readonly retention?: Retention | undefined
}

/** The versions of one bucket: in memory and, where there is a folder, one file each before a write counts as made. */
export class VersionStore {
  readonly #folder: string | undefined
  readonly #versions: Map<string, ObjectVersion[]>
  #order: number

  private constructor(folder: string | undefined, kept: readonly ObjectVersion[]) {
    this.#folder = folder
    this.#versions = new Map()
    for (const version of kept) this.#insert(version)
    this.#order = Math.max(0, ...kept.map(({ order }) => order))
  }

  /** Reads what the folder holds. Without one, objects live in memory only. */
  static async open(folder?: string): Promise<VersionStore> {
    return new VersionStore(folder, folder === undefined ? [] : await readKept(folder))
  }

  /** Every key that has versions, in the order of S3's lists. */
  get keys(): readonly string[] {
    return [...this.#versions.keys()].sort()
  }

  /** Newest first. */
  versions(key: string): readonly ObjectVersion[] {
    return this.#versions.get(key) ?? []
  }

  /** Adds a version on top. In memory at once, so that of two simultaneous writers one sees the other. */
  async add(version: Omit<ObjectVersion, 'order' | 'versionId'>): Promise<ObjectVersion> {
    const added = { ...version, order: ++this.#order, versionId: randomBytes(24).toString('base64url') }
    this.#insert(added)
    await this.#write(added)
    return added
  }

  async replace(version: ObjectVersion): Promise<void> {
    const others = this.versions(version.key).filter(({ versionId }) => versionId !== version.versionId)
    this.#versions.set(version.key, [...others, version].sort(newestFirst))
    await this.#write(version)
  }

  async remove(version: ObjectVersion): Promise<void> {
    const rest = this.versions(version.key).filter(({ versionId }) => versionId !== version.versionId)
    if (rest.length === 0) this.#versions.delete(version.key)
    else this.#versions.set(version.key, rest)
    if (this.#folder !== undefined) await rm(join(this.#folder, fileNameOf(version)), { force: true })
  }

  #insert(version: ObjectVersion): void {
    this.#versions.set(version.key, [...this.versions(version.key), version].sort(newestFirst))
  }

  async #write(version: ObjectVersion): Promise<void> {
    if (this.#folder === undefined) return
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    const file = join(this.#folder, fileNameOf(version))
    await writeFile(`${file}.next`, JSON.stringify(version), { mode: 0o600 })
    await rename(`${file}.next`, file)
  }
}

function newestFirst(a: ObjectVersion, b: ObjectVersion): number {
  return b.order - a.order
}

/** Keys may be longer than file names. */
function fileNameOf({ key, versionId }: ObjectVersion): string {
  return `${createHash('sha256').update(key).digest('hex').slice(0, 32)}-${versionId}.json`
}

async function readKept(folder: string): Promise<readonly ObjectVersion[]> {
  const names = await readdir(folder).catch(() => [])
  const files = names.filter((name) => name.endsWith('.json'))
  return Promise.all(
    files.map(async (name) => JSON.parse(await readFile(join(folder, name), 'utf8')) as ObjectVersion),
  )
}
