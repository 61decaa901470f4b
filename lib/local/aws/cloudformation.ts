import { AwsError, type JsonObject } from './aws-error.ts'
import { arnOf, type Cloud } from './cloud.ts'
import type { AccessRequest } from './iam.ts'
import { type AwsService, type ServiceCall, textAt } from './service.ts'

/** A stack as `DescribeStacks` tells of it. */
export interface StackDescription {
  readonly name: string
  readonly id: string
  readonly description: string | undefined
  readonly outputs: readonly StackOutput[]
}

export interface StackOutput {
  readonly key: string
  readonly value: string
  readonly description: string | undefined
  readonly exportName: string | undefined
}

/** CloudFormation, as far as it tells what is deployed: by the outputs of its stacks, tools find a deployment. */
export class CloudFormation implements AwsService {
  readonly unsigned = new Set<string>()
  readonly accessDenied = { type: 'AccessDenied', status: 403 }
  readonly unknownCaller = { type: 'InvalidClientTokenId', status: 403 }
  readonly #cloud: Cloud
  readonly #created = new Map<string, { readonly stack: StackDescription; readonly at: number }>()

  constructor(cloud: Cloud) {
    this.#cloud = cloud
  }

  /** Makes a stack known. */
  add(stack: StackDescription): void {
    this.#created.set(stack.name, { stack, at: this.#cloud.clock() })
  }

  access(operation: string, input: JsonObject): readonly AccessRequest[] | undefined {
    if (operation !== 'DescribeStacks') return undefined
    const name = textAt(input, 'StackName')
    const isId = name?.startsWith('arn:') === true
    const resource = isId ? name : arnOf(this.#cloud, 'cloudformation', `stack/${name ?? '*'}/*`)
    return [
      { action: 'cloudformation:DescribeStacks', resource: name === undefined ? '*' : resource, context: {} },
    ]
  }

  async call({ input }: ServiceCall): Promise<JsonObject> {
    const wanted = textAt(input, 'StackName')
    const all = [...this.#created.values()]
    const found = all.filter(({ stack }) => wanted === undefined || [stack.name, stack.id].includes(wanted))
    if (wanted !== undefined && found.length === 0)
      throw new AwsError('ValidationError', `Stack with id ${wanted} does not exist`)
    return { Stacks: found.map(({ stack, at }) => described(stack, at)) }
  }
}

function described({ name, id, description, outputs }: StackDescription, createdAt: number): JsonObject {
  return {
    StackId: id,
    StackName: name,
    Description: description,
    CreationTime: new Date(createdAt).toISOString(),
    StackStatus: 'CREATE_COMPLETE',
    Outputs: outputs.map((output) => ({
      OutputKey: output.key,
      OutputValue: output.value,
      Description: output.description,
      ExportName: output.exportName,
    })),
  }
}
