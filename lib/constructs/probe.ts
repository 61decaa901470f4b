import { Rule, Schedule } from 'aws-cdk-lib/aws-events'
import { LambdaFunction as LambdaTarget } from 'aws-cdk-lib/aws-events-targets'
import { Grant } from 'aws-cdk-lib/aws-iam'
import { Key, KeySpec, KeyUsage } from 'aws-cdk-lib/aws-kms'
import { Duration, RemovalPolicy, Tags } from 'aws-cdk-lib/core'
import { Construct } from 'constructs'
import { KEY_TAGS, PROBE_SIGNING } from '../../functions/key-tags.ts'
import type { BrokerFunction } from './broker-function.ts'

export interface ProbeKeyProps {
  /** Tag of the key. */
  readonly stage: string
}

/** The key of the probe's own issuer and client, and the schedule by which it tries the broker. */
export class Probe extends Construct {
  readonly key: Key

  constructor(scope: Construct, id: string, { stage }: ProbeKeyProps) {
    super(scope, id)
    this.key = new Key(this, 'Key', {
      description: `token-broker ${stage}: signs the probe's own tokens`,
      keySpec: KeySpec.ECC_NIST_P256,
      keyUsage: KeyUsage.SIGN_VERIFY,
      // Nothing that it signed is worth anything a minute later.
      removalPolicy: RemovalPolicy.DESTROY,
    })
    // Of another purpose than the keys that sign tokens: the roles that use those cannot use this one.
    Tags.of(this.key).add(KEY_TAGS.purpose, PROBE_SIGNING)
    Tags.of(this.key).add(KEY_TAGS.stage, stage)
  }

  /** Has the function try the broker each minute, with the key that nobody else may use. */
  runBy(prober: BrokerFunction): void {
    Grant.addToPrincipal({
      grantee: prober,
      actions: ['kms:Sign'],
      resourceArns: [this.key.keyArn],
      conditions: {
        StringEquals: { 'kms:MessageType': 'DIGEST', 'kms:SigningAlgorithm': 'ECDSA_SHA_256' },
      },
    })
    Grant.addToPrincipal({
      grantee: prober,
      actions: ['kms:GetPublicKey'],
      resourceArns: [this.key.keyArn],
    })
    // The next run is as good, and what is late would say nothing of its own minute: neither EventBridge nor Lambda, which
    // queues what it is told, tries again.
    const once = { retryAttempts: 0, maxEventAge: Duration.minutes(1) }
    prober.live.configureAsyncInvoke(once)
    new Rule(this, 'Schedule', {
      description: 'Tries the token broker as a client does',
      schedule: Schedule.rate(Duration.minutes(1)),
      targets: [new LambdaTarget(prober.live, once)],
    })
  }
}
