import { readFileSync, writeFileSync } from 'node:fs'
import { withKeyTables } from '../lib/policy-reference.ts'
import { policyJsonSchema, policyTestJsonSchema } from '../lib/policy-schema.ts'

const REFERENCE = 'docs/policy.md'

/** What is made from the definition of the policy language. */
const made = {
  'policy/policy.schema.json': `${JSON.stringify(policyJsonSchema(), null, 2)}\n`,
  'policy/policy-test.schema.json': `${JSON.stringify(policyTestJsonSchema(), null, 2)}\n`,
  [REFERENCE]: withKeyTables(readFileSync(REFERENCE, 'utf8')),
}

for (const [file, text] of Object.entries(made)) {
  writeFileSync(file, text)
  process.stdout.write(`${file}\n`)
}
