import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { afterEach, describe, expect, it } from 'vitest'
import { AWS_CLIENT } from '../../functions/adapters/aws-client.ts'
import { DynamoDbKeyManifests } from '../../functions/adapters/dynamodb-key-manifests.ts'
import { DependencyUnavailable } from '../../functions/core/fault.ts'

const closers: (() => void)[] = []

afterEach(() => {
  for (const close of closers.splice(0)) close()
})

async function manifestsFrom(answer: (response: ServerResponse) => void): Promise<DynamoDbKeyManifests> {
  const server = createServer((request, response) => {
    request.resume()
    answer(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const credentials = { accessKeyId: 'a', secretAccessKey: 'b' }
  const client = new DynamoDBClient({ ...AWS_CLIENT, endpoint, region: 'eu-west-1', credentials })
  closers.push(() => {
    client.destroy()
    server.closeAllConnections()
    server.close()
  })
  return new DynamoDbKeyManifests(client, 'signing-keys')
}

describe('a call to AWS', () => {
  it('is given up when the answer stops after its headers', async () => {
    const manifests = await manifestsFrom((response) => response.write('{"Item":'))
    await expect(manifests.read('RS256')).rejects.toThrow(DependencyUnavailable)
  })

  it('is given up when the answer drips in', async () => {
    const manifests = await manifestsFrom((response) => {
      response.write('{')
      const drip = setInterval(() => response.write(' '), 100)
      closers.push(() => clearInterval(drip))
    })
    await expect(manifests.read('RS256')).rejects.toThrow(DependencyUnavailable)
  })
})
