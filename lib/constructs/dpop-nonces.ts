import { Grant } from 'aws-cdk-lib/aws-iam'
import { Key, KeySpec, KeyUsage } from 'aws-cdk-lib/aws-kms'
import { RemovalPolicy } from 'aws-cdk-lib/core'
import { Construct } from 'constructs'
import type { BrokerFunction } from './broker-function.ts'

export interface DpopNoncesProps {
  readonly stage: string
}

/**
 * What makes the nonces of DPoP proofs. The key is deleted with the stack: whoever has a nonce of it is told another one, and
 * nothing else is lost.
 */
export class DpopNonces extends Construct {
  readonly #key: Key

  constructor(scope: Construct, id: string, { stage }: DpopNoncesProps) {
    super(scope, id)
    this.#key = new Key(this, 'Key', {
      description: `token-broker ${stage}: makes nonces for DPoP proofs`,
      keySpec: KeySpec.HMAC_256,
      keyUsage: KeyUsage.GENERATE_VERIFY_MAC,
      removalPolicy: RemovalPolicy.DESTROY,
    })
  }

  get keyArn(): string {
    return this.#key.keyArn
  }

  /** Allows to make nonces. Nobody needs to verify one by the key: who knows it compares. */
  grantMake(grantee: BrokerFunction): void {
    Grant.addToPrincipal({
      grantee,
      actions: ['kms:GenerateMac'],
      resourceArns: [this.#key.keyArn],
      conditions: { StringEquals: { 'kms:MacAlgorithm': 'HMAC_SHA_256' } },
    })
  }
}
