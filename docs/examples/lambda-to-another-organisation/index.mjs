// A Lambda function that reads an object of another organisation without having a secret: AWS says who the function is, the
// broker gives it credentials of a role over there, and the AWS SDK asks for others before these end. Its own role needs
// sts:GetWebIdentityToken and nothing else (role.yaml); its variables are BROKER_URL, BROKER_AUDIENCE (an audience of the issuer
// in the broker's policy), TARGET (the id of the target in that policy) and BUCKET.
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { GetWebIdentityTokenCommand, STSClient } from '@aws-sdk/client-sts'

// A regional endpoint: the global one does not know the operation.
const sts = new STSClient()
const { BROKER_URL, BROKER_AUDIENCE, TARGET, BUCKET } = process.env

async function partnerCredentials() {
  const { WebIdentityToken } = await sts.send(
    new GetWebIdentityTokenCommand({
      Audience: [BROKER_AUDIENCE],
      SigningAlgorithm: 'RS256',
      // The credentials end no later, and AWS gives none of less than 15 minutes.
      DurationSeconds: 1200,
    }),
  )
  const answer = await fetch(`${BROKER_URL}/aws/credentials/${TARGET}`, {
    headers: { authorization: WebIdentityToken },
  })
  const body = await answer.json()
  // The message says nothing of the token; the correlation id is what the broker's operator asks for.
  if (!answer.ok) throw new Error(`${body.code}, correlation ${answer.headers.get('x-correlation-id')}`)
  return {
    accessKeyId: body.AccessKeyId,
    secretAccessKey: body.SecretAccessKey,
    sessionToken: body.Token,
    expiration: new Date(body.Expiration),
  }
}

const s3 = new S3Client({ credentials: partnerCredentials })

export async function handler({ key }) {
  const { Body } = await s3.send(new GetObjectCommand({ Bucket: BUCKET, Key: key }))
  return await Body.transformToString()
}
