/** Every bound on input and time that the broker enforces. Sizes in bytes, times in seconds unless the name says otherwise. */
export const LIMITS = {
  bodyBytes: 64 * 1024,
  tokenBytes: 16 * 1024,
  /** Of a token's JOSE header, decoded. */
  tokenHeaderBytes: 8 * 1024,
  /** Of a DPoP proof, its key included. */
  proofBytes: 8 * 1024,
  parameters: 64,
  scopes: 64,
  targetNames: 8,
  jsonDepth: 16,
  claims: 200,
  subjectCharacters: 255,
  jtiCharacters: 255,
  /** Of an issuer, target, client or grant in policy. */
  idCharacters: 63,
  /** Actors that one token may name, one behind the other. */
  delegationDepth: 3,
  /** Ancestors of one token: they are all read in the one batch that checks revocations. */
  lineage: 16,
  /** Cut-offs that could end one token: they, its own and the signing key's are to fit into one batch of 100. */
  revocationKeys: 90,
  jwksBytes: 100 * 1024,
  jwksKeys: 100,
  defaultLifetimeSeconds: 5 * 60,
  maxLifetimeSeconds: 60 * 60,
  /** Of a subject token, where policy raises its issuer's hour: Kubernetes tokens live up to a day. */
  maxSubjectLifetimeSeconds: 24 * 60 * 60,
  clockSkewSeconds: 30,
  /** How far ahead a client assertion may expire. */
  clientAssertionSeconds: 5 * 60,
  /** How old a DPoP proof may be, beside the skew: it is made for one request. */
  proofAgeSeconds: 60,
  /** For so long one nonce is handed out; it is accepted for as long again. */
  dpopNonceSeconds: 120,
  issuerKeysFreshSeconds: 10 * 60,
  issuerKeysStaleSeconds: 60 * 60,
  unknownKeyCooldownSeconds: 30,
  idempotencySeconds: 60,
  /** Of a web identity token, which is used at once. */
  webIdentitySeconds: 2 * 60,
  /** For this long after it was read, a function signs with a key manifest. */
  manifestCacheSeconds: 60,
  /** For this long after it was read, a key manifest is published: a revoked key is to leave the key set at once. */
  publishedManifestSeconds: 5,
  /** `max-age` of the public documents. */
  jwksMaxAgeSeconds: 300,
  /** Verifiers exist that read no more keys of a set than this. */
  publishedKeys: 10,
  deadlineMilliseconds: 5000,
} as const
