import type { ExplainedDifference } from '../differential.ts'

const bothKinds = (...requests: readonly string[]) =>
  ['RSA_2048', 'ECC_NIST_P256'].flatMap((kind) => requests.map((request) => `${kind}: ${request}`))

/** Where the local endpoint and moto answer differently. moto follows AWS in none of them. */
export const DIFFERENCES: readonly ExplainedDifference[] = [
  {
    requests: bothKinds('signs a digest', 'signs a digest by the key id', 'signs again'),
    reason: 'moto hashes a message of type DIGEST again; KMS signs it as it is',
  },
  {
    requests: bothKinds(
      'refuses a digest of 31 bytes',
      'refuses a message above 4096 bytes',
      'refuses an unknown message type',
    ),
    reason: 'moto does not check the message; KMS answers ValidationException',
  },
  {
    requests: bothKinds("refuses another kind's algorithm"),
    reason:
      'moto answers ValidationException; KMS documents InvalidKeyUsageException for an incompatible algorithm',
  },
  {
    requests: bothKinds(
      'refuses to sign while it is disabled',
      'refuses the public key while it is disabled',
      'refuses to sign while it waits for deletion',
    ),
    reason:
      'moto does not look at the state of a key; KMS answers DisabledException or KMSInvalidStateException',
  },
  {
    requests: bothKinds('refuses to rotate it', 'refuses deletion in 6 days'),
    reason: 'moto rotates every kind of key and waits any number of days; KMS refuses both',
  },
  {
    requests: bothKinds('gives the public key'),
    reason: 'moto answers the id for the ARN and leaves KeySpec out; the broker reads PublicKey alone',
  },
  {
    requests: ['KMS: refuses a P-256 key that encrypts', 'KMS: refuses an RSA key without a usage'],
    reason: 'moto makes keys that cannot be; KMS answers ValidationException',
  },
  {
    requests: ['KMS: refuses a tag key twice', 'KMS: refuses a tag key of AWS'],
    reason: 'moto does not check tags; KMS answers TagException',
  },
  {
    requests: ['KMS: refuses the public key of a symmetric key'],
    reason: 'moto invents a public key; KMS answers UnsupportedOperationException',
  },
  {
    requests: ['KMS: refuses an operation that is not there', 'STS: refuses a role without a session name'],
    reason: 'moto crashes with status 500',
  },
  {
    requests: ['STS: says who calls'],
    reason: 'moto knows no callers: it always answers the user moto',
  },
  {
    requests: ['STS: assumes a role with a source identity'],
    reason: 'moto leaves the source identity out of its answer',
  },
  {
    requests: [
      'STS: refuses a session name with a slash',
      'STS: refuses a session name of one letter',
      'STS: refuses 899 seconds',
      'STS: refuses 43201 seconds',
      'STS: refuses a tag twice',
      'STS: refuses a session policy that is not JSON',
      'STS: refuses a role ARN that is none',
    ],
    reason: 'moto does not check what AssumeRole is given; STS answers ValidationError and the like',
  },
  {
    requests: ['KMS: refuses to decrypt under another key'],
    reason: 'moto answers AccessDeniedException; KMS documents IncorrectKeyException',
  },
  {
    requests: ['KMS: makes a data key pair'],
    reason: 'moto does not offer data key pairs',
  },
  {
    requests: ['KMS: refuses to decrypt while the key is disabled'],
    reason: 'moto does not look at the state of a key; KMS answers DisabledException',
  },
  {
    requests: [
      'S3: writes what is not there',
      'S3: writes a new version over it',
      'S3: writes where only a delete marker is',
    ],
    reason: 'moto repeats the lock in its answer to a write; S3 tells it to readers',
  },
  {
    requests: ['S3: refuses to shorten the retention', 'S3: refuses to weaken the retention'],
    reason: 'moto changes retention in COMPLIANCE mode as anybody likes; S3 answers AccessDenied',
  },
  {
    requests: ['S3: refuses a body that is not as announced', 'S3: refuses retention in the past'],
    reason: 'moto checks neither digests nor dates; S3 answers BadDigest and InvalidArgument',
  },
]
