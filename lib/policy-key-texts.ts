/** What the reference and editors say of one key. */
export interface KeyText {
  /** In Markdown, what counts where the key is left out; not of a key that must be there. */
  readonly unset?: string
  /** In Markdown, on one line. */
  readonly means: string
  /** Whether claims may be inserted into its value. */
  readonly insertsClaims?: true
}

const PUBLIC_KEYS: KeyText = {
  unset: 'one of them, for `private_key_jwt` and `self_signed_tls_client_auth`',
  means:
    '`{keys: […]}` as for issuers, or an https URL (in the local run also `http` on loopback) that serves them',
}
const CERTIFICATE_NAME: KeyText = {
  unset: 'exactly one, for `tls_client_auth`',
  means:
    'the name that the certificate must have: its subject, as `openssl x509 -noout -subject -nameopt RFC2253` prints it, or one of its alternative names. Compared exactly, but for the case of hosts and the spelling of addresses; a wildcard stands for nothing',
}

/** By table of the reference, every key of the policy language by its path. Keys with one text have one row. */
export const KEY_TEXTS = {
  defaults: {
    lifetime: { unset: '`5m`', means: 'of issued tokens, for grants that name none; 1 s to 1 h' },
    max_delegation_depth: {
      unset: '`3`',
      means: '0 to 3: how many actors an issued token may name, one behind the other; with 0 nobody may act',
    },
  },
  issuers: {
    preset: {
      unset: 'none',
      means: 'fills `issuer`, `algorithms` and `keys`, and what the lint knows of the claims; see below',
    },
    issuer: {
      unset: 'of the preset',
      means:
        'the exact `iss`: an https URL without user, query, fragment and `*`; unique. In the local run also `http` on `127.0.0.1`, `[::1]` and `localhost`',
    },
    algorithms: {
      unset: 'of the preset',
      means: 'accepted JWS algorithms: `RS256` to `RS512`, `PS256` to `PS512`, `ES256` to `ES512`, `EdDSA`',
    },
    keys: {
      unset: '`discovery`',
      means:
        '`discovery`, `{jwks_uri: …}` or `{jwks: {keys: […]}}`: public RSA (2048 bits or more), EC and OKP keys, each with its own `kid`, 100 at most',
    },
    audiences: { means: 'every `aud` of a token must be one of these' },
    max_lifetime: { unset: '`1h`', means: 'longest `exp - iat` that is accepted; 1 s to 24 h' },
    clock_skew: { unset: '`30s`', means: '0 s to 30 s' },
    replay: { unset: '`single-use`', means: '`single-use`, `once-per-target` or `reusable`' },
    default_target: { unset: 'none', means: 'for requests without `audience` and `resource`' },
    client_authentication: {
      unset: '`none`',
      means: '`required`: its tokens are exchanged only for a client that authenticates itself',
    },
  },
  clients: {
    'authentication.method': {
      means:
        '`private_key_jwt`, `client_secret_basic`, `tls_client_auth` or `self_signed_tls_client_auth`; only the method that stands here counts',
    },
    'authentication.jwks': PUBLIC_KEYS,
    'authentication.jwks_uri': PUBLIC_KEYS,
    'authentication.algorithms': {
      unset: 'of `RS256`, `PS256`, `ES256` and `EdDSA` those that a key fits; all four with `jwks_uri`',
      means: 'accepted algorithms of assertions, as for issuers',
    },
    'authentication.secret_digests': {
      unset: 'required for `client_secret_basic`',
      means:
        '`[hmac-sha256:SALT:DIGEST]`, two while the secret is replaced; of generated secrets only ([decision 6](decisions/0006-client-secrets.md))',
    },
    'authentication.tls_client_auth_subject_dn': CERTIFICATE_NAME,
    'authentication.tls_client_auth_san_dns': CERTIFICATE_NAME,
    'authentication.tls_client_auth_san_uri': CERTIFICATE_NAME,
    'authentication.tls_client_auth_san_ip': CERTIFICATE_NAME,
    'authentication.tls_client_auth_san_email': CERTIFICATE_NAME,
    introspects: { unset: 'none', means: 'targets whose tokens it may introspect' },
    revokes: { unset: 'none', means: 'targets whose tokens it may revoke, beside those issued to itself' },
    default_target: {
      unset: 'that of the issuer',
      means: 'for its requests without `audience` and `resource`',
    },
  },
  targets: {
    audience: {
      unset: 'required; with `aws_role`, its ARN',
      means: '`aud` of issued tokens and `audience` of requests; unique',
    },
    resources: {
      unset: 'none',
      means: 'absolute URIs without fragment that name the target as `resource`; unique',
    },
    scopes: { unset: 'none', means: '64 at most (RFC 6749 §3.3)' },
    'token.format': {
      unset: '`jwt`',
      means:
        '`jwt`, or `reference`: an opaque handle `rt_…`, whose claims the broker keeps and tells by introspection',
    },
    'token.algorithm': {
      unset: '`RS256`',
      means:
        '`RS256` or `ES256`; with `format: reference` nothing is signed, and only the default is accepted',
    },
    'token.signing': {
      unset: '`kms`',
      means:
        '`kms`: KMS signs each token. `delegated`, with ES256 only: the function signs with a key that is replaced every day; faster and cheaper, and [less safe](decisions/0007-delegated-signing.md)',
    },
    'token.max_lifetime': { unset: '`1h`', means: '1 s to 1 h' },
    'token.status_list': {
      unset: '`false`',
      means:
        'whether tokens say where a list can be read that tells when they are revoked: for resource servers that never call back. Costs each exchange one more write beside the others; not with `format: reference`',
    },
    'token.binding': {
      unset: '`none`',
      means:
        "what tokens are bound to. `dpop`: the key of the client's DPoP proof (RFC 9449), without which there is no token. `mtls`: the certificate by which the client holds the connection (RFC 8705), at the deployment's [domain for that](deploy.md#mutual-tls). Resource servers must ask for the same. With `none` a client that sends a proof gets a bound token all the same; a certificate alone binds nothing, because at that domain every client has one",
    },
    'token.dpop_nonce': {
      unset: '`false`',
      means:
        'whether that proof needs a nonce of ours, so that none can be made in advance; only with `binding: dpop`. Costs a first request one more, and the deployment one KMS key',
    },
    aws_role: {
      unset: 'none',
      means:
        'the ARN of one role, without wildcards: grants for this target give temporary credentials of it. `resources`, `scopes` and `token` then have no meaning and are refused, and so are `claims` and `lifetime` in grants',
    },
  },
  aws_roles: {
    assume: {
      unset: '`web-identity`',
      means:
        "`web-identity`: the broker signs a token for STS, whose `sub` is `target:` and this target's id, and no role of the broker may assume anything. `role`: a function of the broker assumes the role with its own",
    },
    duration: {
      unset: '`15m`',
      means:
        'how long the credentials work, `15m` to `1h`. The default is short because they cannot be revoked; SDKs that refresh 15 minutes before the end (botocore, the AWS CLI) then ask at each call: for these `1h`',
    },
    outlive: {
      unset: '`refuse`',
      means:
        "credentials never outlive the subject token, and AWS gives none for less than 15 minutes. Where less is left, `refuse` refuses; `deadline` adds a session policy that allows nothing after the subject token's end",
    },
    session_name: {
      unset: 'the subject',
      means:
        '`RoleSessionName`, as CloudTrail shows it. A text that cannot be one, because of its characters or its length, is shortened and ends in `=` and a digest: two texts never get one name. With `{jti}` in it no two exchanges do, either: [who was it](aws.md#who-was-it)',
      insertsClaims: true,
    },
    session_tags: {
      unset: 'none',
      means:
        'at most 50 tags by key; a key has 1 to 128, a value at most 256 letters, digits, spaces and `_.:/=+-@`. No two keys may differ in case alone, and none begins with `aws:`',
      insertsClaims: true,
    },
    transitive_tags: {
      unset: 'none',
      means: 'keys of `session_tags` that stay with the session when it assumes a further role',
    },
    source_identity: {
      unset: 'none',
      means: '2 to 64 of `a-z A-Z 0-9 + = , . @ _ -`; stays with every session that is started from this one',
      insertsClaims: true,
    },
    session_policy: {
      unset: 'none',
      means: 'an IAM policy that narrows the role for one session: see below',
      insertsClaims: true,
    },
    external_id: {
      unset: 'none',
      means:
        "with `assume: role` only: what the role's trust policy asks of us, so that nobody can have us use somebody else's role",
    },
  },
  grants: {
    issuer: { means: 'id of an issuer, or `broker` for the onward exchange of our own tokens' },
    when: { means: 'conditions, at least one; all must hold' },
    target: { means: 'id of a target' },
    client: { unset: 'none', means: 'only this authenticated client; for another the grant is not there' },
    scopes: { unset: 'none', means: 'of those that the target has' },
    default_scopes: { unset: '`scopes`', means: 'for requests without `scope`' },
    lifetime: { unset: 'of `defaults`', means: '1 s to 1 h' },
    claims: { unset: 'none', means: 'claims of the issued token, by name' },
    rate: {
      unset: 'none',
      means: '`{limit: 60, per: 1m, by: subject}`, where `by` is `subject`, `client` or `grant`: see below',
    },
    delegation: {
      unset: 'none',
      means: '`{actors: [{issuer: …, when: {…}}]}`: who may act for the subject; see below',
    },
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, KeyText>>>>
