import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { KMSClient } from '@aws-sdk/client-kms'
import { S3Client } from '@aws-sdk/client-s3'
import { AWS_CLIENT } from '../../functions/adapters/aws-client.ts'
import { type AwsEndpoint, startAwsEndpoint } from '../../lib/local/aws/endpoint.ts'

const OPERATOR = { accessKeyId: 'AKIAOPERATOR00000000', secretAccessKey: 'operator' }

export interface LocalAws {
  readonly endpoint: AwsEndpoint
  readonly dynamoDb: DynamoDBClient
  readonly kms: KMSClient
  readonly s3: S3Client
  close(): Promise<void>
}

/** The local AWS endpoint, with clients that call as the deployed ones do, by somebody who may do everything. */
export async function startLocalAws(tables: readonly string[] = []): Promise<LocalAws> {
  const endpoint = await startAwsEndpoint({ region: 'eu-west-1', onDefect: () => undefined })
  endpoint.registerPrincipal(OPERATOR.accessKeyId, {
    name: 'operator',
    roleArn: 'arn:aws:iam::111111111111:role/operator',
    policies: undefined,
  })
  for (const table of tables) {
    await endpoint.dynamodb.createTable({
      TableName: table,
      KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
      AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
    })
  }
  const common = { ...AWS_CLIENT, endpoint: endpoint.url, region: 'eu-west-1', credentials: OPERATOR }
  const dynamoDb = new DynamoDBClient(common)
  const kms = new KMSClient(common)
  const s3 = new S3Client(common)
  return {
    endpoint,
    dynamoDb,
    kms,
    s3,
    close: async () => {
      dynamoDb.destroy()
      kms.destroy()
      s3.destroy()
      await endpoint.close()
    },
  }
}
