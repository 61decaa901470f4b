import type { JsonObject, JsonValue } from '../assembly.ts'
import type { PolicyDocument } from '../aws/iam.ts'
import type { BucketDefinition } from '../aws/s3.ts'

export interface TablePlan {
  readonly name: string
  /** The input of DynamoDB's CreateTable, with `TimeToLiveSpecification` and `StreamSpecification` beside it. */
  readonly definition: JsonObject
  readonly streamArn: string
}

export interface KeyPlan {
  readonly id: string
  readonly logicalId: string
  /** The input of KMS's CreateKey. */
  readonly definition: JsonObject
  readonly rotated: boolean
}

export interface FunctionPlan {
  readonly name: string
  readonly logicalId: string
  readonly arn: string
  /** Names by which it can be invoked, beside its own. */
  readonly aliases: readonly string[]
  readonly folder: string
  /** `<file>.<export>`. */
  readonly handler: string
  readonly environment: Readonly<Record<string, string>>
  readonly timeoutSeconds: number
  readonly memoryMegabytes: number
  readonly roleArn: string
  /** Where its log lines go, if the template says. */
  readonly logGroup: string | undefined
  /** Every identity policy of that role. */
  readonly policies: readonly PolicyDocument[]
}

export interface RoutePlan {
  /** `<METHOD> <path>` or `$default`. */
  readonly routeKey: string
  readonly functionName: string
  readonly timeoutMilliseconds: number
  /** Who may call it: anybody, or who signs the request and has the permission. */
  readonly authorization: 'NONE' | 'AWS_IAM'
}

export interface ApiPlan {
  readonly id: string
  readonly routes: readonly RoutePlan[]
}

export interface SchedulePlan {
  readonly name: string
  /** `rate(…)` or `cron(…)`. */
  readonly expression: string
  readonly functionName: string
  /** The target's input, or `undefined` for the event that the service makes. */
  readonly input: JsonValue | undefined
}

export interface EventSourcePlan {
  readonly tableName: string
  readonly streamArn: string
  readonly functionName: string
  readonly batchSize: number
  readonly windowSeconds: number
  /** Attempts after the first. */
  readonly retries: number
  readonly bisect: boolean
  readonly reportsItemFailures: boolean
  /** Patterns of which a record must match one; none means every record. */
  readonly filters: readonly JsonObject[]
  /** Seconds after which Lambda gives a record up. */
  readonly maximumAgeSeconds: number
  readonly onFailure: FailureDestination | undefined
}

/** Where Lambda sends what a function could not handle. */
export interface FailureDestination {
  readonly queueName: string
  readonly queueArn: string
}

export interface LogSubscriptionPlan {
  readonly logGroup: string
  /** The function that writes to the log group. */
  readonly sourceFunction: string
  readonly filterName: string
  readonly filterPattern: string
  readonly functionName: string
}

/** How Lambda treats a function's asynchronous invocations. */
export interface AsyncInvocationPlan {
  readonly functionName: string
  /** Attempts after the first. */
  readonly retries: number
  readonly onFailure: FailureDestination | undefined
}

export interface CustomResourcePlan {
  readonly where: string
  readonly stack: string
  readonly logicalId: string
  readonly type: string
  readonly functionName: string
  readonly properties: JsonObject
}

/** What the local cloud starts for a deployment. */
export interface CloudPlan {
  readonly tables: readonly TablePlan[]
  /** KMS keys that the template declares; those that functions make at run time are not known here. */
  readonly keys: readonly KeyPlan[]
  readonly functions: readonly FunctionPlan[]
  readonly api: ApiPlan | undefined
  readonly schedules: readonly SchedulePlan[]
  readonly eventSources: readonly EventSourcePlan[]
  readonly buckets: readonly BucketDefinition[]
  readonly queueNames: readonly string[]
  readonly logSubscriptions: readonly LogSubscriptionPlan[]
  readonly asyncInvocations: readonly AsyncInvocationPlan[]
  readonly customResources: readonly CustomResourcePlan[]
}
