import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { AWS_CREDENTIALS_PATH } from '../../functions/settings.ts'
import { isPrivateUrl } from '../private-url.ts'
import {
  type Command,
  type CommandContext,
  CommandFailed,
  DEPLOYMENT_OPTIONS,
  UsageError,
} from './command.ts'

const DETAILS = `For the AWS CLI and SDKs, as a line of ~/.aws/config:

  [profile deploy]
  credential_process = npx token-broker aws credentials deploy-prod --url https://tokens.example.com --token-file FILE

They run it again before the credentials end: each time the file must hold a token that the broker still takes. Without
--url the deployment is looked up, with AWS credentials that whoever uses this may not have.`

/** Twice the broker's own deadline. */
const TIMEOUT_MILLISECONDS = 10_000

export const awsCredentials: Command = {
  path: ['aws', 'credentials'],
  summary: 'exchange a token for credentials of a role, as a credential_process',
  arguments: '<target>',
  details: DETAILS,
  example:
    'npx token-broker aws credentials deploy-prod --url https://tokens.example.com --token-file /var/run/secrets/broker/token',
  options: {
    ...DEPLOYMENT_OPTIONS,
    'token-file': { type: 'string', value: 'FILE', description: 'holds the subject token' },
    url: {
      type: 'string',
      value: 'URL',
      description: 'the broker’s own URL (default: that of the deployment)',
    },
  },
  run: async (context) => {
    const target = targetIn(context)
    const token = readToken(context.text('token-file'))
    const url = context.text('url') ?? (await context.deployment()).issuer
    if (!isPrivateUrl(url))
      throw new UsageError(`--url ${url}: allowed is https, so that nobody reads the token on its way`)
    const { AccessKeyId, SecretAccessKey, Token, Expiration } = await fetchCredentials(url, target, token)
    const document = { Version: 1, AccessKeyId, SecretAccessKey, SessionToken: Token, Expiration }
    context.terminal.out(JSON.stringify(document))
    return 0
  },
}

function targetIn({ arguments: [target, more] }: CommandContext): string {
  if (target === undefined || more !== undefined) throw new UsageError('name one target of the policy')
  return target
}

function readToken(path: string | undefined): string {
  if (path === undefined) throw new UsageError('--token-file is missing')
  let text: string
  try {
    text = readFileSync(path, 'utf8').trim()
  } catch (cause) {
    throw new CommandFailed(`${path} cannot be read`, 'check the path', { cause })
  }
  if (/^[\x21-\x7e]+$/.test(text)) return text
  throw new CommandFailed(
    `${path} does not hold one token`,
    'write the token alone, as the platform handed it out',
  )
}

const CREDENTIALS = z.object({
  AccessKeyId: z.string().min(1),
  SecretAccessKey: z.string().min(1),
  Token: z.string().min(1),
  Expiration: z.string().min(1),
})
const REFUSAL = z.object({ code: z.string(), message: z.string() })

async function fetchCredentials(
  url: string,
  target: string,
  token: string,
): Promise<z.output<typeof CREDENTIALS>> {
  const answer = await fetch(`${url}${AWS_CREDENTIALS_PATH}${encodeURIComponent(target)}`, {
    headers: { authorization: token },
    redirect: 'error',
    signal: AbortSignal.timeout(TIMEOUT_MILLISECONDS),
  }).catch((cause: unknown) => {
    throw new CommandFailed(`${url} does not answer`, 'is the URL right, and the network up?', { cause })
  })
  const body: unknown = await answer.json().catch(() => undefined)
  const credentials = CREDENTIALS.safeParse(body)
  if (answer.ok && credentials.success) return credentials.data
  const { data: refusal } = REFUSAL.safeParse(body)
  const correlation = answer.headers.get('x-correlation-id')
  throw new CommandFailed(
    refusal === undefined ? `${url} answers ${answer.status}` : `${refusal.code}: ${refusal.message}`,
    `the broker’s operator finds the reason by the correlation id ${correlation ?? '(none)'}; npx token-broker policy explain tells it of a token`,
  )
}
