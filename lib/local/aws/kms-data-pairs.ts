import { generateKeyPair } from 'node:crypto'
import { promisify } from 'node:util'

const generate = promisify(generateKeyPair)

/** The data key pairs that this KMS makes. */
export const PAIR_SPECS = ['RSA_2048', 'ECC_NIST_P256'] as const
export type PairSpec = (typeof PAIR_SPECS)[number]

export function isPairSpec(name: string): name is PairSpec {
  return PAIR_SPECS.some((spec) => spec === name)
}

/** A pair that KMS itself forgets: SubjectPublicKeyInfo and PKCS #8, both in DER. */
export async function newPair(
  spec: PairSpec,
): Promise<{ readonly publicKey: Buffer; readonly privateKey: Buffer }> {
  const { publicKey, privateKey } =
    spec === 'RSA_2048'
      ? await generate('rsa', { modulusLength: 2048 })
      : await generate('ec', { namedCurve: 'P-256' })
  return {
    publicKey: publicKey.export({ format: 'der', type: 'spki' }),
    privateKey: privateKey.export({ format: 'der', type: 'pkcs8' }),
  }
}
