import { Alarm } from 'aws-cdk-lib/aws-cloudwatch'
import { LambdaApplication, LambdaDeploymentConfig, LambdaDeploymentGroup } from 'aws-cdk-lib/aws-codedeploy'
import { Grant, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import { Validations } from 'aws-cdk-lib/core'
import { Construct } from 'constructs'
import type { BrokerFunction } from './broker-function.ts'

export interface ReleasesProps {
  /** Of the CodeDeploy application: by it a release is found, and stopped. */
  readonly applicationName: string
  readonly functions: readonly BrokerFunction[]
  /** Any of these alarms rolls a release back. */
  readonly alarmNames: readonly string[]
}

/** Has CodeDeploy move the functions' aliases to a new version: a tenth of the requests first, all after five minutes. */
export class Releases extends Construct {
  readonly #role: Role
  readonly #application: LambdaApplication

  constructor(scope: Construct, id: string, { applicationName, functions, alarmNames }: ReleasesProps) {
    super(scope, id)
    this.#application = new LambdaApplication(this, 'Application', { applicationName })
    // Not the managed policy AWSCodeDeployRoleForLambdaLimited: it may move the aliases of every function of the account.
    this.#role = new Role(this, 'Role', { assumedBy: new ServicePrincipal('codedeploy.amazonaws.com') })
    Grant.addToPrincipal({
      grantee: this.#role,
      actions: ['cloudwatch:DescribeAlarms'],
      resourceArns: ['*'],
    })
    Validations.of(this.#role).acknowledge({
      id: 'AwsSolutions-IAM5[Resource::*]',
      reason:
        'cloudwatch:DescribeAlarms reads the states of alarms, whose names the request lists: it changes none',
    })
    for (const each of functions) this.#release(each, alarmNames)
  }

  #release(released: BrokerFunction, alarmNames: readonly string[]): void {
    const { lambda, live, node } = released
    Grant.addToPrincipal({
      grantee: this.#role,
      actions: ['lambda:GetAlias', 'lambda:UpdateAlias', 'lambda:GetProvisionedConcurrencyConfig'],
      // Not by the alias itself: this has to be there before CodeDeploy moves it.
      resourceArns: [lambda.functionArn, released.liveArn],
    })
    const scope = new Construct(this, node.id)
    const group = new LambdaDeploymentGroup(scope, 'Group', {
      application: this.#application,
      deploymentGroupName: node.id,
      alias: live,
      // Immutable: the construct would attach that managed policy.
      role: this.#role.withoutPolicyUpdates(),
      deploymentConfig: LambdaDeploymentConfig.CANARY_10PERCENT_5MINUTES,
      alarms: alarmNames.map((name, at) => Alarm.fromAlarmName(scope, `Alarm${at}`, name)),
      // A release that nobody can judge goes no further.
      ignorePollAlarmsFailure: false,
      autoRollback: { failedDeployment: true, stoppedDeployment: true, deploymentInAlarm: true },
    })
    group.node.addDependency(this.#role)
  }
}
