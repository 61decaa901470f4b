// A Lambda function that calls an API without having a secret: AWS says who the function is, and the broker gives it a token
// of five minutes for that API alone. Its role needs sts:GetWebIdentityToken and nothing else (role.yaml); its variables are
// BROKER_URL, BROKER_AUDIENCE (an audience of the issuer in the broker's policy) and API (the audience of the target).
import { GetWebIdentityTokenCommand, STSClient } from '@aws-sdk/client-sts'

// A regional endpoint: the global one does not know the operation.
const sts = new STSClient()
const { BROKER_URL, BROKER_AUDIENCE, API } = process.env

/** Where the last token still has a minute to live, it is used again. */
let current = { token: undefined, expiresAt: 0 }

async function tokenForApi() {
  if (Date.now() < current.expiresAt - 60_000) return current.token
  const { WebIdentityToken } = await sts.send(
    new GetWebIdentityTokenCommand({
      Audience: [BROKER_AUDIENCE],
      SigningAlgorithm: 'RS256',
      DurationSeconds: 300,
    }),
  )
  const answer = await fetch(`${BROKER_URL}/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      subject_token: WebIdentityToken,
      audience: API,
    }),
  })
  const body = await answer.json()
  // The description says nothing of the token; the correlation id is what the broker's operator asks for.
  if (!answer.ok) throw new Error(`${body.error}, correlation ${answer.headers.get('x-correlation-id')}`)
  current = { token: body.access_token, expiresAt: Date.now() + body.expires_in * 1000 }
  return current.token
}

export async function handler() {
  const answer = await fetch(`${API}/entries`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await tokenForApi()}`, 'content-type': 'application/json' },
    body: JSON.stringify({ amount: 1 }),
  })
  return { status: answer.status }
}
