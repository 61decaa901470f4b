import type { TableV2 } from 'aws-cdk-lib/aws-dynamodb'
import { Rule, Schedule } from 'aws-cdk-lib/aws-events'
import { LambdaFunction as LambdaTarget } from 'aws-cdk-lib/aws-events-targets'
import { Grant } from 'aws-cdk-lib/aws-iam'
import { Key } from 'aws-cdk-lib/aws-kms'
import { Arn, ArnFormat, CustomResource, Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib/core'
import { Construct } from 'constructs'
import { DELETION_WINDOW_DAYS, KMS_RINGS, RECONCILE_MINUTES } from '../../functions/core/key-times.ts'
import { delegatedKeyContext, KEY_TAGS, TOKEN_SIGNING } from '../../functions/key-tags.ts'
import type { BrokerFunction } from './broker-function.ts'

const KEY_SPECS = ['RSA_2048', 'ECC_NIST_P256']
const SIGNING_ALGORITHMS = { RS256: 'RSASSA_PKCS1_V1_5_SHA_256', ES256: 'ECDSA_SHA_256' } as const
type Algorithm = keyof typeof SIGNING_ALGORITHMS

export interface SigningKeysProps {
  /** Holds the manifest of each key ring. */
  readonly table: TableV2
  /** Only KMS keys tagged with this stage are touched. */
  readonly stage: string
  /** Whether there are keys that functions sign with by themselves. */
  readonly isDelegating: boolean
  /** Whether the key under which those are made outlives the stack. */
  readonly removalProtection: boolean
}

/**
 * The broker's signing keys. The KMS keys themselves are made and retired by the rotation, not by CloudFormation: a stack
 * update or its deletion must never take away a key whose tokens are still valid. IAM tells them by their tags.
 */
export class SigningKeys extends Construct {
  readonly #table: TableV2
  readonly #stage: string
  readonly #everyKey: string
  /** Encrypts the private halves of delegated keys; `undefined` where there are none. */
  readonly #wrappingKey: Key | undefined

  constructor(scope: Construct, id: string, props: SigningKeysProps) {
    super(scope, id)
    this.#table = props.table
    this.#stage = props.stage
    this.#everyKey = Arn.format(
      { service: 'kms', resource: 'key', resourceName: '*', arnFormat: ArnFormat.SLASH_RESOURCE_NAME },
      Stack.of(this),
    )
    this.#wrappingKey = props.isDelegating ? this.#createWrappingKey(props) : undefined
  }

  /** ARN of the key that encrypts delegated keys, or `undefined` where there are none. */
  get wrappingKeyArn(): string | undefined {
    return this.#wrappingKey?.keyArn
  }

  /** Allows to read which keys there are. */
  grantRead(grantee: BrokerFunction): void {
    this.#table.grant(grantee, 'dynamodb:GetItem')
  }

  /** Allows to sign digests with the stage's keys, in the ways in which tokens are signed, and nothing else. */
  grantSign(grantee: BrokerFunction, algorithms: readonly Algorithm[] = ['RS256', 'ES256']): void {
    const allowed = algorithms.map((algorithm) => SIGNING_ALGORITHMS[algorithm])
    Grant.addToPrincipal({
      grantee,
      actions: ['kms:Sign'],
      resourceArns: [this.#everyKey],
      conditions: {
        StringEquals: {
          ...this.#tags('ResourceTag'),
          'kms:MessageType': 'DIGEST',
          'kms:SigningAlgorithm': allowed.length === 1 ? allowed[0] : allowed,
        },
      },
    })
    this.#acknowledgeKeysByTag(grantee)
  }

  /** Allows to decrypt the stage's delegated keys, and nothing else that the same KMS key may have encrypted. */
  grantUnwrap(grantee: BrokerFunction): void {
    this.#grantWrapping(grantee, 'kms:Decrypt')
  }

  /** Allows to make keys for the stage, to find, try and take them out of use, and to record their states. */
  grantReconcile(grantee: BrokerFunction): void {
    this.#table.grant(grantee, 'dynamodb:GetItem', 'dynamodb:PutItem')
    this.#grantCreate(grantee)
    this.#grantFind(grantee)
    const ours = this.#tags('ResourceTag')
    Grant.addToPrincipal({
      grantee,
      actions: ['kms:GetPublicKey', 'kms:DisableKey'],
      resourceArns: [this.#everyKey],
      conditions: { StringEquals: ours },
    })
    Grant.addToPrincipal({
      grantee,
      actions: ['kms:ScheduleKeyDeletion'],
      resourceArns: [this.#everyKey],
      conditions: {
        StringEquals: ours,
        // The longest that KMS knows: whatever goes wrong here, there is a month to cancel it.
        NumericGreaterThanEquals: { 'kms:ScheduleKeyDeletionPendingWindowInDays': DELETION_WINDOW_DAYS },
      },
    })
    this.grantSign(grantee)
    this.grantUnwrap(grantee)
    this.#grantWrapping(grantee, 'kms:GenerateDataKeyPairWithoutPlaintext', {
      'kms:DataKeyPairSpec': 'ECC_NIST_P256',
    })
  }

  /**
   * Runs `reconciler` once while the stack is deployed, so that the broker can sign when the deployment is done, and then
   * on a schedule. It may fail at any run, because the next one heals: hence no dead-letter queue.
   */
  reconcileWith(reconciler: BrokerFunction): void {
    new Rule(this, 'Schedule', {
      description: 'Moves the signing keys of the token broker through their states',
      schedule: Schedule.rate(Duration.minutes(RECONCILE_MINUTES)),
      targets: [new LambdaTarget(reconciler.lambda, { retryAttempts: 2, maxEventAge: Duration.minutes(10) })],
    })
    new CustomResource(this, 'FirstKeys', {
      resourceType: 'Custom::SigningKeys',
      serviceToken: reconciler.lambda.functionArn,
      // An answer that never comes fails the deployment after this time, not after CloudFormation's hour.
      serviceTimeout: Duration.minutes(15),
      // With other rings it runs again: it is complete once every ring has its first key.
      properties: {
        reason: 'first signing keys',
        version: '2',
        delegated: String(this.#wrappingKey !== undefined),
      },
    })
  }

  #createWrappingKey({ stage, removalProtection }: SigningKeysProps): Key {
    return new Key(this, 'WrappingKey', {
      description: `token-broker ${stage}: encrypts delegated signing keys`,
      enableKeyRotation: true,
      // Without it the delegated keys that are in use could be decrypted no more.
      removalPolicy: removalProtection ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
    })
  }

  #grantWrapping(grantee: BrokerFunction, action: string, more: Record<string, string> = {}): void {
    if (this.#wrappingKey === undefined) return
    const context = Object.entries(delegatedKeyContext(this.#stage)).map(
      ([name, value]) => [`kms:EncryptionContext:${name}`, value] as const,
    )
    Grant.addToPrincipal({
      grantee,
      actions: [action],
      resourceArns: [this.#wrappingKey.keyArn],
      conditions: { StringEquals: { ...Object.fromEntries(context), ...more } },
    })
  }

  #grantCreate(grantee: BrokerFunction): void {
    const tags = { ...this.#tags('RequestTag'), [`aws:RequestTag/${KEY_TAGS.ring}`]: [...KMS_RINGS] }
    Grant.addToPrincipal({
      grantee,
      actions: ['kms:CreateKey'],
      resourceArns: ['*'],
      conditions: {
        StringEquals: { ...tags, 'kms:KeySpec': KEY_SPECS, 'kms:KeyUsage': 'SIGN_VERIFY' },
        'ForAllValues:StringEquals': { 'aws:TagKeys': Object.values(KEY_TAGS) },
      },
    })
    // CreateKey with tags asks for this too, on the key that it is about to make, which has no tags yet. A key that another
    // stage has tagged can't be taken over: its tags differ.
    Grant.addToPrincipal({
      grantee,
      actions: ['kms:TagResource'],
      resourceArns: [this.#everyKey],
      conditions: {
        StringEquals: tags,
        StringEqualsIfExists: this.#tags('ResourceTag'),
        'ForAllValues:StringEquals': { 'aws:TagKeys': Object.values(KEY_TAGS) },
      },
    })
    Validations.of(grantee.role).acknowledge({
      id: 'AwsSolutions-IAM5[Resource::*]',
      reason:
        'kms:CreateKey has no resource to name: the key does not exist yet. Tags, key spec and usage are fixed. kms:ListKeys knows no resource',
    })
  }

  /** Before a key is made, one that was made already is looked for. Its tags can't be a condition: they are the question. */
  #grantFind(grantee: BrokerFunction): void {
    Grant.addToPrincipal({ grantee, actions: ['kms:ListKeys'], resourceArns: ['*'] })
    Grant.addToPrincipal({ grantee, actions: ['kms:ListResourceTags'], resourceArns: [this.#everyKey] })
  }

  #tags(of: 'ResourceTag' | 'RequestTag'): Record<string, string> {
    return {
      [`aws:${of}/${KEY_TAGS.purpose}`]: TOKEN_SIGNING,
      [`aws:${of}/${KEY_TAGS.stage}`]: this.#stage,
    }
  }

  #acknowledgeKeysByTag(grantee: BrokerFunction): void {
    Validations.of(grantee.role).acknowledge({
      id: 'AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:kms:<AWS::Region>:<AWS::AccountId>:key/*]',
      reason:
        'Keys come and go with rotation: each statement names them by the tags of stage and purpose instead; reading those tags cannot',
    })
  }
}
