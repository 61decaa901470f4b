import { request as httpRequest, type IncomingMessage } from 'node:http'
import { text as textOf } from 'node:stream/consumers'
import { PutItemCommand } from '@aws-sdk/client-dynamodb'
import { describe, expect, test } from 'vitest'
import { failureOf, OPERATOR_KEY, type Rig, startRig, table } from './support.ts'

test('a request of a service that is not here is refused and a defect', async () => {
  const { endpoint, defects } = await startRig()
  const authorization = `AWS4-HMAC-SHA256 Credential=${OPERATOR_KEY}/20260101/eu-west-1/iam/aws4_request`
  for (const headers of [{ authorization }, {}]) {
    const answer = await fetch(`${endpoint.url}/bucket/key`, { method: 'PUT', body: 'x', headers })
    expect(answer.status).toBe(400)
  }
  const defect = { kind: 'operation', operation: 'PUT /bucket/key' }
  expect(defects).toMatchObject([
    { ...defect, principal: 'operator' },
    { ...defect, principal: undefined },
  ])
})

test('a body that is not a JSON object is refused', async () => {
  const { endpoint } = await startRig()
  const headers = {
    'x-amz-target': 'DynamoDB_20120810.PutItem',
    'content-type': 'application/x-amz-json-1.0',
  }
  for (const body of ['[]', '{', 'null']) {
    const answer = await fetch(endpoint.url, { method: 'POST', headers, body })
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({ __type: 'com.amazon.coral.service#SerializationException' })
  }
})

test('the answers carry the cloud’s date, which SDKs measure their skew by', async () => {
  const { endpoint } = await startRig({ clock: () => Date.UTC(2030, 0, 1) })
  const answer = await fetch(endpoint.url, { method: 'POST' })
  expect(answer.headers.get('date')).toBe('Tue, 01 Jan 2030 00:00:00 GMT')
})

test('an unsigned call of a signed operation is refused', async () => {
  const { endpoint, defects } = await startRig()
  const headers = { 'x-amz-target': 'TrentService.ListKeys', 'content-type': 'application/x-amz-json-1.1' }
  const answer = await fetch(endpoint.url, { method: 'POST', headers, body: '{}' })
  expect(await answer.json()).toMatchObject({ __type: 'UnrecognizedClientException' })
  expect(defects).toMatchObject([{ kind: 'credential', accessKeyId: undefined }])
})

describe('a page of another site', () => {
  const signed = {
    'x-amz-target': 'DynamoDB_20120810.ListTables',
    authorization: `AWS4-HMAC-SHA256 Credential=${OPERATOR_KEY}/20260101/eu-west-1/dynamodb/aws4_request`,
  }
  const call = async ({ endpoint }: Rig, headers: Readonly<Record<string, string>>) => {
    // `fetch` would put the host right.
    const options = { method: 'POST', headers: { host: new URL(endpoint.url).host, ...signed, ...headers } }
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      httpRequest(endpoint.url, options, resolve).on('error', reject).end('{}')
    })
    return { status: answer.statusCode, text: await textOf(answer) }
  }

  test.each([
    { host: 'attacker.example' },
    { host: '127.0.0.1.attacker.example' },
    { origin: 'https://attacker.example' },
    { origin: 'http://localhost:3000' },
    { 'sec-fetch-site': 'cross-site' },
  ])('has no call answered, though it knows the access key: %j', async (headers) => {
    const rig = await startRig()
    const { status, text } = await call(rig, headers as Record<string, string>)
    expect([status, text]).toEqual([403, expect.stringContaining('AccessDeniedException')])
    expect([rig.calls, rig.defects]).toEqual([[], []])
  })

  test.each(['localhost', 'localhost:8000', 'bucket.name.localhost', '127.0.0.1'])(
    'is not who calls the endpoint by the name %s',
    async (host) => {
      expect((await call(await startRig(), { host })).status).toBe(200)
    },
  )
})

test('text in a query answer is escaped', async () => {
  const { endpoint } = await startRig()
  const body = 'Version=2011-06-15&Action=%3Cx%3E%26'
  const headers = {
    'content-type': 'application/x-www-form-urlencoded',
    authorization: 'Credential=AKIAOPERATOR/',
  }
  const answer = await fetch(endpoint.url, { method: 'POST', headers, body })
  const text = await answer.text()
  expect(text).toContain('<Code>InvalidAction</Code>')
  expect(text).not.toContain('<x>')
})

test('a port that is taken is an error, and closing frees it', async () => {
  const first = await startRig()
  const { port } = first.endpoint
  expect(await failureOf(startRig({ port }))).toMatchObject({ code: 'EADDRINUSE' })
  await first.endpoint.close()
  const second = await startRig({ port })
  await second.endpoint.dynamodb.createTable(table('things'))
  await second.dynamodb.send(new PutItemCommand({ TableName: 'things', Item: { pk: { S: 'a' } } }))
})
