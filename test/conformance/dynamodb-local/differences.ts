import type { ExplainedDifference } from '../differential.ts'

/** Where the local endpoint and DynamoDB Local answer differently, and why that is all right. */
export const DIFFERENCES: readonly ExplainedDifference[] = [
  {
    requests: ['refuses a JSON number'],
    reason: 'DynamoDB Local takes {"N": 1}; AWS answers SerializationException, as the local endpoint does',
  },
  {
    requests: ['refuses a body that is not JSON'],
    reason: 'DynamoDB Local answers 500; AWS answers SerializationException, as the local endpoint does',
  },
  {
    requests: ['deletes what is not there'],
    reason: 'DynamoDB Local reports consumed capacity that nobody asked for',
  },
]
