import type { KMSClient } from '@aws-sdk/client-kms'
import { AwsError, type JsonObject } from '../../lib/local/aws/aws-error.ts'
import { Kms } from '../../lib/local/aws/kms.ts'

const BINARY = [
  'CiphertextBlob',
  'Mac',
  'Message',
  'Plaintext',
  'PrivateKeyCiphertextBlob',
  'PublicKey',
  'Signature',
]

/** The local KMS without HTTP in between, for tests that call it tens of thousands of times. `clock` in epoch ms. */
export async function inProcessKms(clock: () => number): Promise<KMSClient> {
  const kms = await Kms.open({ region: 'eu-west-1', account: '111111111111', clock })
  const send = async (command: {
    readonly input: object
    readonly constructor: { readonly name: string }
  }) => {
    const operation = command.constructor.name.replace(/Command$/, '')
    try {
      const input = converted(command.input, (value) => Buffer.from(value as Uint8Array).toString('base64'))
      return converted(
        await kms.call({ operation, input: input as JsonObject, caller: undefined, requestId: 'in-process' }),
        (value) => Buffer.from(value as string, 'base64'),
      )
    } catch (error) {
      // As the SDK throws them.
      if (error instanceof AwsError) throw Object.assign(new Error(error.message), { name: error.code })
      throw error
    }
  }
  return { send } as unknown as KMSClient
}

function converted(of: object, convert: (value: unknown) => unknown): object {
  return Object.fromEntries(
    Object.entries(of).flatMap(([name, value]) => {
      if (value === undefined) return []
      return [[name, BINARY.includes(name) ? convert(value) : value]]
    }),
  )
}
