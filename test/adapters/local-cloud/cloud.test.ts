import { DynamoDBClient, GetItemCommand, PutItemCommand, ScanCommand } from '@aws-sdk/client-dynamodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LOCAL_OPERATOR, startLocalCloud } from '../../../lib/local/cloud.ts'
import { describeDefect } from '../../../lib/local/cloud-defect.ts'
import { type FixtureCloud, startFixture, synthesizeFixture } from '../../support/fixture-cloud.ts'

const TABLE = 'fixture-state-Items5C12978B'

describe('the local cloud', () => {
  let assemblyFolder: string
  let fixture: FixtureCloud
  let dynamodb: DynamoDBClient
  beforeAll(async () => {
    assemblyFolder = synthesizeFixture()
    fixture = await startFixture(assemblyFolder)
    fixture.cloud.aws.registerPrincipal('OPERATOR', { name: 'test' })
    const credentials = { accessKeyId: 'OPERATOR', secretAccessKey: 'x' }
    dynamodb = new DynamoDBClient({ endpoint: fixture.cloud.aws.url, region: 'eu-west-1', credentials })
  })
  afterAll(async () => {
    dynamodb.destroy()
    await fixture.cloud.close()
  })

  const put = (pk: string, expiresAt = 4_000_000_000) =>
    dynamodb.send(
      new PutItemCommand({ TableName: TABLE, Item: { pk: { S: pk }, expires_at: { N: String(expiresAt) } } }),
    )
  const get = async (pk: string) =>
    (
      await dynamodb.send(
        new GetItemCommand({ TableName: TABLE, Key: { pk: { S: pk } }, ConsistentRead: true }),
      )
    ).Item
  const consumed = () => fixture.logged.flatMap(({ entry }) => (entry['consumed'] ?? []) as string[])

  it('runs custom resources before it is ready, with the address of the API', async () => {
    expect(await get('provisioned:first')).toMatchObject({ url: { S: fixture.cloud.url } })
  })

  it('lets a function write to the table that its role may write to', async () => {
    const response = await fixture.request('/write', {
      method: 'POST',
      body: 'hello',
      headers: { 'content-type': 'text/plain' },
    })
    expect(response.status).toBe(204)
    expect(await get('hello')).toMatchObject({ note: { S: 'written' } })
  })

  it('invokes a function by an alias that the template has, and by no other', async () => {
    const invoke = (query: string) => {
      const { name } = fixture.cloud.functions.plan('Write')
      const authorization = 'AWS4-HMAC-SHA256 Credential=OPERATOR/20260101/eu-west-1/lambda/aws4_request'
      return fetch(`${fixture.cloud.aws.url}/2015-03-31/functions/${name}/invocations${query}`, {
        method: 'POST',
        headers: { authorization },
        body: JSON.stringify({ body: 'by alias' }),
      })
    }
    expect((await invoke('?Qualifier=live')).status).toBe(200)
    expect(await get('by alias')).toBeDefined()
    expect((await invoke('?Qualifier=other')).status).toBe(404)
    expect((await invoke('')).status).toBe(200)
  })

  it('hands stream records to the function behind the mapping', async () => {
    await put('streamed')
    await expect.poll(consumed).toContain('streamed')
  })

  it('deletes what has expired', async () => {
    await put('expired', Math.floor(Date.now() / 1000) - 10)
    await fixture.cloud.aws.dynamodb.sweepExpired(Date.now())
    expect(await get('expired')).toBeUndefined()
  })

  it('names a missing permission', async () => {
    expect((await fixture.request('/things/special')).status).toBe(500)
    expect(fixture.defects.map(describeDefect)).toContainEqual(
      expect.stringMatching(
        /^missing permission: fixture-service-Trespass\w+ may not dynamodb:GetItem on arn:aws:dynamodb:.*Items/,
      ),
    )
  })

  it('lists permissions that nothing used, without those that Lambda uses', () => {
    const unused = fixture.cloud.unusedPermissions()
    expect(unused).toContainEqual(expect.objectContaining({ action: 'dynamodb:DeleteItem' }))
    expect(unused.map(({ action }) => action)).not.toContain('logs:PutLogEvents')
    expect(unused.map(({ action }) => action)).not.toContain('dynamodb:GetRecords')
  })

  it('invokes a function with what its schedule says', async () => {
    await fixture.cloud.invoke('Tick', { from: 'test' })
    expect(fixture.logged.map(({ entry }) => entry)).toContainEqual({ ticked: { from: 'test' } })
  })

  it('has heard what a function printed when it answers', async () => {
    // A line and an answer that can be read together come in the wrong order in one of ten, if nobody sees to it.
    for (let calls = 0; calls < 300; calls++) {
      await fixture.cloud.invoke('Tick', { calls })
      expect(fixture.logged.slice(-10).map(({ entry }) => entry)).toContainEqual({ ticked: { calls } })
    }
  })

  it('stops at a defect unless somebody collects them', async () => {
    const progress: string[] = []
    const cloud = await startLocalCloud({ assemblyFolder, onProgress: (step) => void progress.push(step) })
    const { url } = cloud
    // What an operator mistypes is answered as AWS would, and no reason to stop.
    for (const accessKeyId of ['AKIANOBODY', LOCAL_OPERATOR.accessKeyId]) {
      const credentials = { accessKeyId, secretAccessKey: 'x' }
      const client = new DynamoDBClient({ endpoint: cloud.aws.url, region: 'eu-west-1', credentials })
      await expect(client.send(new ScanCommand({ TableName: 'nowhere' }))).rejects.toThrow()
    }
    // Nor is a call of a service that is not here, by the operator or a browser.
    const authorization = `AWS4-HMAC-SHA256 Credential=${LOCAL_OPERATOR.accessKeyId}/20260101/eu-west-1/iam/aws4_request`
    for (const headers of [{ authorization }, {}])
      expect((await fetch(cloud.aws.url, { headers })).status).toBe(400)
    const refused = progress.filter((step) => step.startsWith('refused: '))
    expect(refused).toHaveLength(4)
    expect(refused[2]).toMatch(
      /^refused: local-operator calls GET \/: .*the local cloud has cloudformation, /,
    )
    expect(refused[3]).toMatch(/^refused: somebody unknown calls GET \/: /)
    expect((await fetch(`${url}/echo`)).status).toBe(200)
    await fetch(`${url}/things/special`).catch(() => {})
    expect((await cloud.stopped).message).toMatch(/^missing permission: .*Trespass/)
    const answers = () =>
      fetch(`${url}/echo`).then(
        () => true,
        () => false,
      )
    await expect.poll(answers).toBe(false)
    await cloud.close()
  })

  it('does not start when a custom resource fails, and gives its reason', async () => {
    const failing = startLocalCloud({ assemblyFolder: synthesizeFixture({ failWith: 'no luck today' }) })
    await expect(failing).rejects.toThrow('fixture-service/Provisioned: no luck today')
  })

  it('names a function that does not initialise', async () => {
    const { cloud, defects } = await startFixture(synthesizeFixture({ refuseToStart: true }))
    await expect(cloud.invoke('Echo', {})).rejects.toThrow('environment variable GREETING is not set')
    expect(defects.map(describeDefect)).toEqual([
      expect.stringMatching(/^function .*Echo.* does not start: environment variable GREETING is not set$/),
    ])
    await cloud.close()
  })

  it('stops while a function hangs, without waiting for its timeout, and leaves no process', async () => {
    const { cloud, request, hanging } = await startFixture(assemblyFolder)
    const { body } = (await cloud.invoke('Echo', { headers: {} })) as { body: string }
    const { pid } = JSON.parse(body) as { pid: number }
    const headers = { 'x-behave': 'hang' }
    const asked = request('/echo', { headers }).catch(() => undefined)
    const invoked = cloud.invoke('Echo', { headers }).catch((error: Error) => error.message)
    await hanging(2)
    await cloud.close()
    expect(await invoked).toBe('Runtime exited with error: signal: SIGKILL')
    expect((await asked)?.status).not.toBe(200)
    expect(() => process.kill(pid, 0)).toThrow('ESRCH')
  })
})
