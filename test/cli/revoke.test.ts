import { GetItemCommand } from '@aws-sdk/client-dynamodb'
import { decodeJwt } from 'jose'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { verifyClientSecret } from '../../functions/core/client-secret.ts'
import { tokenIdOf } from '../../functions/core/token-id.ts'
import { PAYMENTS, RECEIPTS, startTestCloud, type TestCloud } from '../support/cloud.ts'
import { MemoryTerminal } from './memory-terminal.ts'
import { type CliRun, runAsOperator } from './operator.ts'

const REASON = ['--reason', 'INC-7']
let broker: TestCloud

beforeEach(async () => {
  broker = await startTestCloud()
})
afterEach(async () => {
  await broker.close()
  expect(broker.defects).toEqual([])
})

const run = (args: readonly string[], input = ''): Promise<CliRun> =>
  runAsOperator(broker, args, { terminal: new MemoryTerminal({ input }) })

async function issue(): Promise<string> {
  const subjectToken = await broker.sign({ preset: 'kubernetes' })
  const { body } = await broker.exchange(subjectToken, { audience: PAYMENTS })
  return body['access_token'] ?? ''
}
const onward = (token: string) => broker.exchange(token, { audience: RECEIPTS })
const claimsOf = (token: string) => decodeJwt(token) as Record<string, string> & { lineage: string[] }

/** The id by which records name a token of the broker. */
function idOf(token: string): string {
  const { jti } = claimsOf(token)
  return tokenIdOf({ kind: 'token', issuer: broker.url, jti, signingInput: '' })
}

async function cutOffs(key: string) {
  const get = new GetItemCommand({ TableName: broker.table('Revocations'), Key: { pk: { S: key } } })
  return (await broker.dynamoDb.send(get)).Item
}

describe('revoke', () => {
  it.each([
    [['revoke', ...REASON], 'takes a kind and an id'],
    [['revoke', 'user', 'x', ...REASON], 'kinds are token, upstream-token, subject'],
    [['revoke', 'token', ...REASON], 'takes a kind and an id'],
    [['revoke', 'subject', '-', ...REASON], '- stands for a whole token'],
    [['revoke', 'token', '-', ...REASON], 'standard input is empty'],
    [['revoke', 'lineage', 'x'], '--reason is missing'],
    [['revoke', 'lineage', 'x', '--reason', 'a\tb'], 'one line'],
  ])('refuses %j as a usage error', async (args, message) => {
    const { code, err } = await run([...args, '--yes'])
    expect(code).toBe(2)
    expect(err).toContain(message)
  })

  it('refuses a whole token on the command line, and does not repeat it', async () => {
    const token = await issue()
    const { code, err } = await run(['revoke', 'token', token, '--yes', ...REASON])
    expect(code).toBe(2)
    expect(err).toContain('pipe it in')
    expect(err).not.toContain(token.split('.')[1])
  })

  it('changes nothing off a terminal without --yes', async () => {
    const token = await issue()
    const { code, err } = await run(['revoke', 'lineage', claimsOf(token)['txn'] ?? '', ...REASON])
    expect(code).toBe(1)
    expect(err).toContain('add --yes')
    expect((await onward(token)).status).toBe(200)
  })

  it.each(['token', 'upstream-token', 'subject', 'lineage'])(
    'by %s ends the token at once, by the signed endpoint',
    async (kind) => {
      const token = await issue()
      const { lineage, sub = '', txn = '' } = claimsOf(token)
      const [root = ''] = lineage
      const id = { token: idOf(token), 'upstream-token': root, subject: sub, lineage: txn }[kind] ?? ''
      expect((await onward(token)).status).toBe(200)
      const { code, out, err } = await run(['revoke', kind, id, '--yes', '--json', ...REASON])
      expect(code, err).toBe(0)
      expect(JSON.parse(out)).toMatchObject({
        author: 'arn:aws:iam::111111111111:user/local-operator',
        reason: 'INC-7',
      })
      expect((await onward(token)).status).toBe(400)
    },
  )

  it('by the token itself, read from standard input, names it in the record and nowhere else', async () => {
    const token = await issue()
    const { code, out, err } = await run(['revoke', 'token', '-', '--yes', ...REASON], `${token}\n`)
    expect(code, err).toBe(0)
    for (const part of token.split('.')) expect(out + err).not.toContain(part)
    expect(await cutOffs(`token#${idOf(token)}`)).toBeDefined()
    expect((await onward(token)).status).toBe(400)
  })

  it('revokes a client that the policy does not know, but says so', async () => {
    const { code, err } = await run(['revoke', 'client', 'checkuot', '--yes', ...REASON])
    expect({ code, err }).toEqual({
      code: 0,
      err: expect.stringContaining('the policy knows no such client'),
    })
    expect(await cutOffs('client#checkuot')).toBeDefined()
  })

  it('says what the broker refused, and who may do it', async () => {
    const refused = await run(['revoke', 'key', 'short', '--yes', ...REASON])
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining('answered 400') })
    const forged = await runAsOperator(broker, ['revoke', 'lineage', 'l'.repeat(22), '--yes', ...REASON], {
      secretAccessKey: 'wrong',
    })
    expect(forged.code).toBe(1)
    expect(forged.err).toMatch(/answered 403[\s\S]*execute-api:Invoke on POST \/admin\/revocations/)
  })

  it.each(['<html>sign in</html>', '{}', '{"revoked":[],"author":"a"}'])(
    'does not take the 200 of another server for a revocation: %s',
    async (body) => {
      const other = vi.spyOn(globalThis, 'fetch').mockImplementation(async () => new Response(body))
      const { code, out, err } = await run(['revoke', 'lineage', 'l'.repeat(22), '--yes', ...REASON])
      other.mockRestore()
      expect({ code, out }).toEqual({ code: 1, out: '' })
      expect(err).toContain('NOTHING IS REVOKED')
    },
  )

  it('says that nothing may be revoked yet while the table cannot be written', async () => {
    broker.cloud.aws.faults.set({ operation: 'dynamodb:UpdateItem', kind: 'reset' })
    const { code, err } = await run(['revoke', 'lineage', 'l'.repeat(22), '--yes', ...REASON])
    broker.cloud.aws.faults.clear()
    expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining('NOTHING MAY BE REVOKED YET') })
  })
})

describe('revoke --dry-run', () => {
  it('finds the token with its descendants, and no other; it needs no reason and changes nothing', async () => {
    const [token, other] = [await issue(), await issue()]
    const child = (await onward(token)).body['access_token'] ?? ''
    const { sub = '', txn = '', lineage, client_id: client = '' } = claimsOf(token)
    const found = async (kind: string, id: string, input = '') => {
      const { code, out, err } = await run(['revoke', kind, id, '--dry-run', '--json'], input)
      expect(code, err).toBe(0)
      return (JSON.parse(out) as { list: { token: string }[] }).list.map((each) => each.token)
    }
    const family = new Set([idOf(token), idOf(child)])
    expect(new Set(await found('token', idOf(token)))).toEqual(family)
    expect(new Set(await found('token', '-', token))).toEqual(family)
    expect(new Set(await found('upstream-token', lineage[0] ?? ''))).toEqual(family)
    expect(new Set(await found('lineage', txn))).toEqual(family)
    expect(await found('token', idOf(child))).toEqual([idOf(child)])
    for (const [kind, id] of [
      ['subject', sub],
      ['client', client],
      ['issuer', 'cluster'],
    ] as const)
      expect(await found(kind, id)).toEqual(expect.arrayContaining([idOf(token), idOf(child), idOf(other)]))
    expect(await found('subject', 'cluster:somebody-else')).toEqual([])
    expect((await onward(token)).status).toBe(200)
  })

  it('lists the first twenty for a person, by target, and leaves out what has expired', async () => {
    const tokens = await Promise.all(Array.from({ length: 22 }, () => issue()))
    const { client_id: client = '' } = claimsOf(tokens[0] ?? '')
    const { out } = await run(['revoke', 'client', client, '--dry-run'])
    expect(out).toMatch(/^\d+ of \d+ unexpired tokens would end. Nothing was changed.$/m)
    expect(out).toMatch(/^ {2}payments-api: \d+$/m)
    expect(out).toMatch(/^and \d+ more: add --json for all$/m)
    const later = await runAsOperator(broker, ['revoke', 'client', client, '--dry-run'], {
      time: Math.floor(Date.now() / 1000) + 86_400,
    })
    expect(later.out).toBe('0 of 0 unexpired tokens would end. Nothing was changed.\n')
  })
})

describe('clients secret', () => {
  it('prints a secret, and the digest by which the policy knows it', async () => {
    const { code, out } = await run(['clients', 'secret'])
    const [secret = '', digest = ''] = out.trim().split('\n')
    expect(code).toBe(0)
    expect(verifyClientSecret(secret, [digest])).toBe(true)
    const again = JSON.parse((await run(['clients', 'secret', '--json'])).out) as Record<string, string>
    expect(again['secret']).not.toBe(secret)
    expect(verifyClientSecret(again['secret'] ?? '', [again['digest'] ?? ''])).toBe(true)
  })
})
