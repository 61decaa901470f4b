import {
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  randomBytes,
  randomUUID,
} from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { type KeySpec, type KeyUsage, specOf } from './kms-specs.ts'

export type KeyState = 'Enabled' | 'Disabled' | 'PendingDeletion'

/** A key as it is kept. Times in epoch milliseconds. */
export interface KeyRecord {
  readonly id: string
  readonly spec: KeySpec
  readonly usage: KeyUsage
  readonly description: string
  readonly createdAt: number
  readonly state: KeyState
  readonly deletionAt?: number | undefined
  readonly rotated: boolean
  readonly tags: Readonly<Record<string, string>>
  /** PKCS #8 in PEM, or the base64 bytes of a symmetric key. */
  readonly secret: string
}

export interface AliasRecord {
  readonly name: string
  readonly keyId: string
  readonly createdAt: number
  readonly updatedAt: number
}

export interface KeyHalves {
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  /** SubjectPublicKeyInfo, DER in base64. */
  readonly spki: string
}

interface Kept {
  readonly keys: readonly KeyRecord[]
  readonly aliases: readonly AliasRecord[]
}

const generate = promisify(generateKeyPair)

/** Secret material for a new key of the spec. */
export async function newSecret(spec: KeySpec): Promise<string> {
  const { modulusLength, curve, secretBytes = 32 } = specOf(spec)
  if (modulusLength !== undefined) return pemOf((await generate('rsa', { modulusLength })).privateKey)
  if (curve !== undefined) return pemOf((await generate('ec', { namedCurve: curve.jwk })).privateKey)
  return randomBytes(secretBytes).toString('base64')
}

/** A key id as KMS makes them. */
export function newKeyId(): string {
  return randomUUID()
}

/** The keys and aliases: in memory and, where there is a file, in it as well before a change counts as made. */
export class KeyStore {
  readonly #file: string | undefined
  readonly #keys: Map<string, KeyRecord>
  readonly #aliases: Map<string, AliasRecord>
  readonly #halves = new Map<string, KeyHalves>()
  #writing: Promise<void> = Promise.resolve()

  private constructor(file: string | undefined, kept: Kept) {
    this.#file = file
    this.#keys = new Map(kept.keys.map((key) => [key.id, key]))
    this.#aliases = new Map(kept.aliases.map((alias) => [alias.name, alias]))
  }

  /** Reads what the file holds. Without a file, keys live in memory only. */
  static async open(file?: string): Promise<KeyStore> {
    return new KeyStore(file, file === undefined ? { keys: [], aliases: [] } : await readKept(file))
  }

  get keys(): readonly KeyRecord[] {
    return [...this.#keys.values()]
  }

  get aliases(): readonly AliasRecord[] {
    return [...this.#aliases.values()]
  }

  key(id: string): KeyRecord | undefined {
    return this.#keys.get(id)
  }

  alias(name: string): AliasRecord | undefined {
    return this.#aliases.get(name)
  }

  /** The key pair of an asymmetric key, parsed once. */
  halves(key: KeyRecord): KeyHalves {
    const known = this.#halves.get(key.id)
    if (known !== undefined) return known
    const privateKey = createPrivateKey(key.secret)
    const publicKey = createPublicKey(privateKey)
    const spki = publicKey.export({ format: 'der', type: 'spki' }).toString('base64')
    const halves = { privateKey, publicKey, spki }
    this.#halves.set(key.id, halves)
    return halves
  }

  /** Adds or replaces a key. */
  async saveKey(key: KeyRecord): Promise<void> {
    this.#keys.set(key.id, key)
    await this.#write()
  }

  /** Removes a key whose waiting time is over, with its aliases. */
  async removeKey(id: string): Promise<void> {
    this.#keys.delete(id)
    this.#halves.delete(id)
    for (const alias of this.aliases) if (alias.keyId === id) this.#aliases.delete(alias.name)
    await this.#write()
  }

  /** Adds or replaces an alias. */
  async saveAlias(alias: AliasRecord): Promise<void> {
    this.#aliases.set(alias.name, alias)
    await this.#write()
  }

  async removeAlias(name: string): Promise<void> {
    this.#aliases.delete(name)
    await this.#write()
  }

  /** One write after the other; each replaces the file in one step, so that a crash leaves the old or the new one. */
  #write(): Promise<void> {
    const file = this.#file
    if (file === undefined) return Promise.resolve()
    const written = this.#writing.then(() => replaceFile(file, { keys: this.keys, aliases: this.aliases }))
    this.#writing = written.catch(() => undefined)
    return written
  }
}

async function replaceFile(file: string, kept: Kept): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  const next = `${file}.next`
  await writeFile(next, JSON.stringify(kept, undefined, 2), { mode: 0o600 })
  await rename(next, file)
}

async function readKept(file: string): Promise<Kept> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Kept
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return { keys: [], aliases: [] }
    throw new Error(`cannot read the local keys in ${file}`, { cause: error })
  }
}

function pemOf(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'pkcs8' }).toString()
}
