import { z } from 'zod'
import { EXAMPLES } from './cli/policy-test.ts'
import { describedPolicySchema } from './policy-reference.ts'

/** The JSON Schema (draft-07, which editors know best) of a policy file. `policy/policy.schema.json` is its output. */
export function policyJsonSchema(): Readonly<Record<string, unknown>> {
  return { title: 'Token broker policy file', ...describedPolicySchema() }
}

/** The same of a `*.test.yaml` file. `policy/policy-test.schema.json` is its output. */
export function policyTestJsonSchema(): Readonly<Record<string, unknown>> {
  const schema = z.toJSONSchema(EXAMPLES, { target: 'draft-7', io: 'input' })
  return { title: 'Token broker policy examples', ...schema }
}
