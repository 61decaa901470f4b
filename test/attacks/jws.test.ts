import {
  constants,
  createHash,
  createPublicKey,
  type KeyObject,
  privateEncrypt,
  randomBytes,
  sign,
} from 'node:crypto'
import { expect } from 'vitest'
import { type Attack, byToken, describeAttacks, granted, refused, unavailable, witnessOf } from './attack.ts'
import { type AttackedBroker, BROKER_ISSUER, issuerUrl, NOW, OUR_AUDIENCE, PAYMENTS } from './broker.ts'
import {
  type CraftingKey,
  craft,
  craftHmac,
  craftingKey,
  craftWithHeader,
  encodePart,
  type Part,
} from './crafted-jws.ts'

const MALFORMED = refused('token_malformed')
const WRONG_SIGNATURE = refused('signature_invalid')
const ATTACKER = craftingKey('RS256', 'key-1')
const RSA_OTHER = craftingKey('RS256', 'key-2')
const P384 = craftingKey('ES384', 'p384')
const ED25519 = craftingKey('EdDSA', 'ed')
const ED448 = craftingKey('Ed448', 'ed448')
const EC = craftingKey('ES256', 'ec')

const headerOf = (parameters: object): object => ({ alg: 'RS256', kid: 'key-1', typ: 'JWT', ...parameters })

/** A good token with its header changed, correctly signed. */
const withHeader = (title: string, header: object, verdict = MALFORMED): Attack =>
  byToken(title, (broker) => broker.token('ci', {}, header), verdict)

/** A good token whose text was changed after it was signed. */
const withText = (title: string, change: (token: string) => string, verdict = MALFORMED): Attack =>
  byToken(title, (broker) => change(broker.token()), verdict)

const unsigned = (broker: AttackedBroker, alg: unknown, signature: string): string =>
  [encodePart(headerOf({ alg })), encodePart(broker.claims()), signature].join('.')

const algorithms: readonly Attack[] = [
  byToken('A01 alg none, with an empty signature', (broker) => unsigned(broker, 'none', ''), MALFORMED),
  byToken('A01 alg none, without the last dot', (b) => unsigned(b, 'none', '').slice(0, -1), MALFORMED),
  byToken(
    'A01 alg none, with the signature of another token',
    (broker) => unsigned(broker, 'none', broker.token().split('.')[2] ?? ''),
    refused('algorithm_not_allowed'),
  ),
  ...['None', 'NONE', 'nOnE', ' none', 'none\0', 'none ', 'rs256', 'RS256 ', 'RS256\n', ''].map((alg) =>
    byToken(
      `A02 alg ${JSON.stringify(alg)}`,
      (broker) => craftWithHeader(broker.keys.ci, headerOf({ alg }), broker.claims()),
      refused('algorithm_not_allowed'),
    ),
  ),
  ...[null, 5, ['RS256'], { name: 'RS256' }, true].map((alg) =>
    byToken(
      `A02 alg ${JSON.stringify(alg)}`,
      (broker) => craftWithHeader(broker.keys.ci, headerOf({ alg }), broker.claims()),
      MALFORMED,
    ),
  ),
  byToken(
    'A02 no alg',
    (broker) => craftWithHeader(broker.keys.ci, { kid: 'key-1' }, broker.claims()),
    MALFORMED,
  ),
  ...Object.entries(publicTexts()).flatMap(([form, textOf]) =>
    ['HS256', 'HS384', 'HS512'].map((alg) =>
      byToken(
        `A03 ${alg} with the issuer's public key as the secret, ${form}`,
        (broker) =>
          craftHmac(
            alg,
            textOf(createPublicKey(broker.keys.ci.privateKey)),
            { kid: 'key-1' },
            broker.claims(),
          ),
        refused('algorithm_not_allowed'),
      ),
    ),
  ),
  ...['PS256', 'RS384', 'RS512', 'ES256', 'EdDSA', 'Ed25519', 'HS256', 'ES256K', 'RSA-OAEP'].map((alg) =>
    byToken(
      `A04 a key without alg, and ${alg}, which the issuer may not use`,
      (broker) => craftWithHeader(broker.keys.ci, headerOf({ alg }), broker.claims()),
      refused('algorithm_not_allowed'),
    ),
  ),
  ...(['RS256', 'PS256', 'EdDSA'] as const).map((alg) =>
    byToken(
      `A04 an EC key without alg, and ${alg}, which the issuer may use with other keys`,
      (broker) => craftWithHeader(EC, { alg, kid: 'ec' }, broker.claims('many')),
      refused('key_unknown'),
      { before: (broker) => broker.publish('many', [EC.jwk]) },
    ),
  ),
]

/** The forms in which somebody who has the public key may have it as bytes. */
function publicTexts(): Readonly<Record<string, (key: KeyObject) => string | Uint8Array>> {
  const pem = (key: KeyObject) => key.export({ format: 'pem', type: 'spki' }) as string
  return {
    PEM: pem,
    'PEM without its last line end': (key) => pem(key).trimEnd(),
    'PEM after white space': (key) => ` \n\t${pem(key)}`,
    'PEM with CRLF': (key) => pem(key).replaceAll('\n', '\r\n'),
    'PKCS#1 PEM': (key) => key.export({ format: 'pem', type: 'pkcs1' }) as string,
    DER: (key) => key.export({ format: 'der', type: 'spki' }),
    JWK: (key) => JSON.stringify(key.export({ format: 'jwk' })),
  }
}

/** Published keys, a token that does not fit them, and what the broker says. */
const mismatched = (title: string, keys: readonly object[], key: CraftingKey, alg: string): Attack =>
  byToken(
    `A05 ${title}`,
    (broker) => craftWithHeader(key, { alg, kid: key.kid }, broker.claims('many')),
    refused('key_unknown'),
    { before: (broker) => broker.publish('many', keys) },
  )

const primitives: readonly Attack[] = [
  mismatched('ES256 by a P-384 key', [P384.jwk], P384, 'ES256'),
  mismatched('RS256 by a key for PS256', [{ ...RSA_OTHER.jwk, alg: 'PS256' }], RSA_OTHER, 'RS256'),
  mismatched('PS256 by a key for RS256', [{ ...RSA_OTHER.jwk, alg: 'RS256' }], RSA_OTHER, 'PS256'),
  mismatched('EdDSA by an Ed448 key', [ED448.jwk], ED448, 'EdDSA'),
  mismatched('EdDSA by a key for ES256', [{ ...ED25519.jwk, alg: 'ES256' }], ED25519, 'EdDSA'),
  mismatched('ES256 by an Ed25519 key', [ED25519.jwk], ED25519, 'ES256'),
  mismatched('ES256 by an RSA key', [RSA_OTHER.jwk], RSA_OTHER, 'ES256'),
  byToken(
    'A05 the name Ed25519 where the issuer may use EdDSA: one name for each algorithm',
    (broker) => craftWithHeader(ED25519, { alg: 'Ed25519', kid: 'ed' }, broker.claims('many')),
    refused('algorithm_not_allowed'),
    { before: (broker) => broker.publish('many', [ED25519.jwk]) },
  ),
  byToken(
    'A05 EdDSA by an Ed25519 key is in order',
    (broker) => craft(ED25519, broker.claims('many')),
    granted(),
    { before: (broker) => broker.publish('many', [{ ...ED25519.jwk, alg: 'EdDSA' }]) },
  ),
]

const EVIL = 'https://evil.example.net/keys'
const embeddedKeys: readonly Attack[] = [
  byToken(
    'A06 an embedded jwk, signed by it',
    (broker) => craft(ATTACKER, broker.claims(), { jwk: ATTACKER.jwk }),
    MALFORMED,
  ),
  byToken(
    'A06 an embedded jwk under another kid',
    (broker) =>
      craft({ ...ATTACKER, kid: 'mine' }, broker.claims(), { jwk: { ...ATTACKER.jwk, kid: 'mine' } }),
    MALFORMED,
  ),
  withHeader("A06 the issuer's own jwk, embedded", { jwk: RSA_OTHER.jwk }),
  ...['jku', 'x5u'].flatMap((name) =>
    [
      EVIL,
      'http://169.254.169.254/latest/meta-data/',
      `${issuerUrl('ci')}/redirect?to=${EVIL}`,
      `${issuerUrl('ci')}/jwks`,
      'file:///etc/passwd',
      '',
      5,
    ].map((url) =>
      byToken(
        `A07 ${name} ${JSON.stringify(url)}`,
        (broker) => craft(ATTACKER, broker.claims(), { [name]: url }),
        MALFORMED,
      ),
    ),
  ),
  ...[['MIIB'], [], 'MIIB', [5]].map((x5c) =>
    byToken(
      `A08 x5c ${JSON.stringify(x5c)}`,
      (broker) => craft(ATTACKER, broker.claims(), { x5c }),
      MALFORMED,
    ),
  ),
]

const extensions: readonly Attack[] = [
  ...[['x'], [], 'b64', ['x', 'x'], ['absent'], ['exp'], [''], [5], null, {}].map((crit) =>
    withHeader(`A09 crit ${JSON.stringify(crit)}`, { crit, x: 1 }),
  ),
  withHeader('A10 b64 false, critical', { b64: false, crit: ['b64'] }),
  withHeader('A10 b64 false, not critical', { b64: false }),
  withHeader('A10 b64 true', { b64: true }),
  withHeader('A11 zip DEF', { zip: 'DEF' }),
  withHeader('A11 zip GZ', { zip: 'GZ' }),
  byToken('A12 a JWE of five parts', () => jwe({ alg: 'RSA-OAEP', enc: 'A256GCM' }), MALFORMED),
  byToken(
    'A12 a JWE that asks for 2^31 rounds',
    () => jwe({ alg: 'PBES2-HS256+A128KW', enc: 'A128GCM', p2s: 'AAAA', p2c: 2 ** 31 }),
    MALFORMED,
  ),
  byToken('A12 a JWE that is compressed', () => jwe({ alg: 'dir', enc: 'A256GCM', zip: 'DEF' }), MALFORMED),
  withHeader('A12 a signature over what says it is encrypted', { enc: 'A256GCM' }),
  withHeader('A12 a nested JWT by its cty', { cty: 'JWT' }),
  byToken('A12 a nested JWT as payload', (broker) => craft(broker.keys.ci, broker.token()), MALFORMED),
]

function jwe(header: object): string {
  return [
    encodePart(header),
    ...[256, 12, 64, 16].map((size) => randomBytes(size).toString('base64url')),
  ].join('.')
}

const forms: readonly Attack[] = [
  withText('A13 flattened JSON serialization', (token) => {
    const [header, payload, signature] = token.split('.')
    return JSON.stringify({ payload, protected: header, signature })
  }),
  withText('A13 general JSON serialization', (token) => {
    const [header, payload, signature] = token.split('.')
    return JSON.stringify({ payload, signatures: [{ protected: header, signature }] })
  }),
  withText('A13 a compact token in a JSON string', (token) => JSON.stringify(token)),
  withText('A14 two parts', (token) => token.slice(0, token.lastIndexOf('.'))),
  withText('A14 one part', (token) => token.split('.')[0] ?? ''),
  withText('A14 four parts', (token) => `${token}.AAAA`),
  withText('A14 an extra dot behind', (token) => `${token}.`),
  withText('A14 an extra dot before', (token) => `.${token}`),
  withText('A14 two dots together', (token) => token.replace('.', '..')),
  ...[0, 1, 2].map((at) =>
    withText(`A14 part ${at + 1} empty`, (token) =>
      token
        .split('.')
        .map((part, index) => (index === at ? '' : part))
        .join('.'),
    ),
  ),
  withText('A14 nothing but dots', () => '.'.repeat(16_000)),
  withText('A14 one character more than 16 KiB', (token) => token.padEnd(16_385, 'A')),
  {
    title: 'A14 a million dots',
    present: () => ({ form: { subject_token: '.'.repeat(1_000_000) } }),
    verdict: refused('body_too_large', 'invalid_request', 413),
  },
]

const CHARACTERS = [' ', '\n', '\r\n', '\t', '=', '+', '/', '%', '\u00a0', '\u200b', '\ufeff', 'é']
const base64: readonly Attack[] = [
  ...CHARACTERS.flatMap((character) =>
    [0, 1, 2].flatMap((part) =>
      (['before', 'within', 'behind'] as const).map((where) =>
        withText(`A15 ${JSON.stringify(character)} ${where} part ${part + 1}`, (token) =>
          changePart(token, part, (text) => {
            if (where === 'before') return character + text
            return where === 'behind' ? text + character : text.slice(0, 9) + character + text.slice(9)
          }),
        ),
      ),
    ),
  ),
  ...[0, 1, 2].map((part) =>
    byToken(
      `A16 unused bits set at the end of part ${part + 1}`,
      (broker) => changePart(tokenWithUnusedBits(broker), part, setUnusedBits),
      MALFORMED,
    ),
  ),
  byToken('A16 the same token with the bits clear is in order', tokenWithUnusedBits, granted()),
]

function changePart(token: string, part: number, change: (text: string) => string): string {
  return token
    .split('.')
    .map((text, index) => (index === part ? change(text) : text))
    .join('.')
}

/** A token none of whose parts ends at a byte's end: the last character of each has bits to spare. */
function tokenWithUnusedBits(broker: AttackedBroker): string {
  const pads = ['', 'x', 'xx']
  const claims = broker.claims()
  const header = pads.map((pad) => headerOf({ pad })).find((part) => encodePart(part).length % 4 !== 0) ?? {}
  const payload =
    pads.map((pad) => ({ ...claims, pad })).find((part) => encodePart(part).length % 4 !== 0) ?? {}
  return craftWithHeader(broker.keys.ci, header, payload)
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

function setUnusedBits(text: string): string {
  const twin = text.slice(0, -1) + ALPHABET.charAt(ALPHABET.indexOf(text.at(-1) ?? '') | 1)
  expect(Buffer.from(twin, 'base64url')).toEqual(Buffer.from(text, 'base64url'))
  expect(twin).not.toBe(text)
  return twin
}

/** The order of P-256. */
const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
const bytes32 = (value: bigint): Buffer => Buffer.from(value.toString(16).padStart(64, '0'), 'hex')

/** A good ES256 token with another signature over the same text. */
const withEcdsa = (
  title: string,
  change: (signature: Buffer, input: string, key: CraftingKey) => Uint8Array,
) =>
  byToken(
    `A17 ${title}`,
    (broker) => {
      const token = broker.token('ec')
      const input = token.slice(0, token.lastIndexOf('.'))
      const signature = Buffer.from(token.split('.')[2] ?? '', 'base64url')
      return `${input}.${Buffer.from(change(signature, input, broker.keys.ec)).toString('base64url')}`
    },
    WRONG_SIGNATURE,
  )

const EDGES: Readonly<Record<string, bigint>> = {
  '0': 0n,
  '1': 1n,
  'n - 1': N - 1n,
  n: N,
  'n + 1': N + 1n,
  '2^256 - 1': 2n ** 256n - 1n,
}
const ecdsa: readonly Attack[] = [
  ...Object.entries(EDGES).flatMap(([r, rValue]) =>
    Object.entries(EDGES).map(([s, sValue]) =>
      withEcdsa(`r = ${r}, s = ${s}`, () => Buffer.concat([bytes32(rValue), bytes32(sValue)])),
    ),
  ),
  ...Object.entries(EDGES).flatMap(([name, value]) => [
    withEcdsa(`r = ${name}`, (signature) => Buffer.concat([bytes32(value), signature.subarray(32)])),
    withEcdsa(`s = ${name}`, (signature) => Buffer.concat([signature.subarray(0, 32), bytes32(value)])),
  ]),
  withEcdsa('63 bytes', (signature) => signature.subarray(0, 63)),
  withEcdsa('65 bytes', (signature) => Buffer.concat([signature, Buffer.alloc(1)])),
  withEcdsa('65 bytes, a zero before', (signature) => Buffer.concat([Buffer.alloc(1), signature])),
  withEcdsa('1 byte', () => Buffer.alloc(1, 1)),
  withEcdsa('64 zero bytes', () => Buffer.alloc(64)),
  withEcdsa('both halves, each after a zero', (signature) =>
    Buffer.concat([Buffer.alloc(1), signature.subarray(0, 32), Buffer.alloc(1), signature.subarray(32)]),
  ),
  withEcdsa('DER instead of r and s', (_, input, { privateKey }) =>
    sign('sha256', Buffer.from(input), privateKey),
  ),
  withEcdsa('r and s exchanged', (signature) =>
    Buffer.concat([signature.subarray(32), signature.subarray(0, 32)]),
  ),
  byToken(
    'A18 the twin of an ES256 signature is the same token, and spent with it',
    async (broker) => {
      const token = broker.token('ec')
      const first = await witnessOf(broker, { form: { subject_token: token } })
      expect(first.status).toBe(200)
      return highSTwin(token)
    },
    refused('token_replayed'),
  ),
  byToken('A18 the twin alone is in order', (broker) => highSTwin(broker.token('ec')), granted()),
  byToken(
    'A18 the twin of a token without jti is the same token too',
    async (broker) => {
      const token = broker.token('ec', { jti: undefined })
      await witnessOf(broker, { form: { subject_token: token } })
      return highSTwin(token)
    },
    refused('token_replayed'),
  ),
]

/** ECDSA accepts (r, n - s) wherever it accepts (r, s). */
function highSTwin(token: string): string {
  return changePart(token, 2, (text) => {
    const signature = Buffer.from(text, 'base64url')
    const s = BigInt(`0x${signature.subarray(32).toString('hex')}`)
    return Buffer.concat([signature.subarray(0, 32), bytes32(N - s)]).toString('base64url')
  })
}

const SHA256_INFO = Buffer.from('3031300d060960864801650304020105000420', 'hex')
const MODULUS = 256

/** A good RS256 token whose signature is the private-key operation over another encoded message. */
const withEncoding = (title: string, encodingOf: (digest: Buffer) => Uint8Array): Attack =>
  byToken(
    `A19 ${title}`,
    (broker) => {
      const { privateKey: key } = broker.keys.ci
      const input = [encodePart(headerOf({})), encodePart(broker.claims())].join('.')
      const encoded = encodingOf(createHash('sha256').update(input).digest())
      const signature = privateEncrypt({ key, padding: constants.RSA_NO_PADDING }, encoded)
      return `${input}.${signature.toString('base64url')}`
    },
    WRONG_SIGNATURE,
  )

/** RFC 8017 §9.2: 00 01 FF…FF 00, then the digest with what says how it was made; filled up behind if it is short. */
function encoded(
  info: Uint8Array,
  digest: Uint8Array,
  { type = 1, fill = 0xff, padding = 0, tail = 0 } = {},
): Buffer {
  const content = Buffer.concat([info, digest])
  const length = padding > 0 ? padding : MODULUS - 3 - content.length - tail
  const head = Buffer.concat([Buffer.from([0, type]), Buffer.alloc(length, fill), Buffer.alloc(1), content])
  return Buffer.concat([head, randomBytes(MODULUS - head.length)])
}

const otherInfo = (hex: string): Buffer => Buffer.from(hex, 'hex')
const sha = (name: string, digest: Buffer): Buffer => createHash(name).update(digest).digest()

const rsa: readonly Attack[] = [
  withEncoding('block type 0', (digest) => encoded(SHA256_INFO, digest, { type: 0, fill: 0 })),
  withEncoding('block type 2', (digest) => encoded(SHA256_INFO, digest, { type: 2 })),
  withEncoding('padding of another byte', (digest) => encoded(SHA256_INFO, digest, { fill: 0xfe })),
  withEncoding('eight bytes of padding, the rest behind the digest', (digest) =>
    encoded(SHA256_INFO, digest, { padding: 8 }),
  ),
  withEncoding('one byte behind the digest', (digest) => encoded(SHA256_INFO, digest, { tail: 1 })),
  withEncoding('no digest info', (digest) => encoded(Buffer.alloc(0), digest)),
  withEncoding('digest info without the NULL', (digest) =>
    encoded(otherInfo('302f300b0609608648016503040201' + '0420'), digest),
  ),
  withEncoding('digest info with a long length', (digest) =>
    encoded(otherInfo('308131300d060960864801650304020105000420'), digest),
  ),
  withEncoding('digest info with garbage for parameters', (digest) =>
    encoded(otherInfo('3033300f06096086480165030402010402dead0420'), digest),
  ),
  withEncoding('digest info of SHA-384 over a SHA-256 digest', (digest) =>
    encoded(otherInfo('3031300d060960864801650304020205000420'), digest),
  ),
  withEncoding('SHA-1', (digest) =>
    encoded(otherInfo('3021300906052b0e03021a05000414'), sha('sha1', digest)),
  ),
  withEncoding('SHA-512', (digest) =>
    encoded(otherInfo('3051300d060960864801650304020305000440'), sha('sha512', digest)),
  ),
  withEncoding('a digest cut to 31 bytes', (digest) =>
    encoded(otherInfo('3030300d06096086480165030402010500041f'), digest.subarray(1)),
  ),
  withText(
    'A19 a signature that begins with a zero byte too much',
    (token) =>
      changePart(token, 2, (text) =>
        Buffer.concat([Buffer.alloc(1), Buffer.from(text, 'base64url')]).toString('base64url'),
      ),
    WRONG_SIGNATURE,
  ),
  withText(
    'A19 a signature of 255 bytes',
    (token) =>
      changePart(token, 2, (text) => Buffer.from(text, 'base64url').subarray(1).toString('base64url')),
    WRONG_SIGNATURE,
  ),
  ...[0, 1, 255].map((fill) =>
    withText(
      `A19 a signature of 256 bytes ${fill}`,
      (token) => changePart(token, 2, () => Buffer.alloc(256, fill).toString('base64url')),
      WRONG_SIGNATURE,
    ),
  ),
  ...[0, 20, 31, 33, 64, 222].map((saltLength) =>
    byToken(
      `A19 PS256 with a salt of ${saltLength} bytes`,
      (broker) => {
        const { privateKey: key } = broker.keys.many
        const input = [headerOf({ alg: 'PS256' }), broker.claims('many')].map(encodePart).join('.')
        const padding = constants.RSA_PKCS1_PSS_PADDING
        return `${input}.${sign('sha256', Buffer.from(input), { key, padding, saltLength }).toString('base64url')}`
      },
      WRONG_SIGNATURE,
    ),
  ),
  byToken('A19 PS256 with a salt of 32 bytes is in order', (broker) => broker.token('many'), granted()),
  byToken(
    "A19 another token's signature",
    (broker) => changePart(broker.token(), 2, () => broker.token().split('.')[2] ?? ''),
    WRONG_SIGNATURE,
  ),
  byToken(
    'A19 a signature by a key that the issuer does not have, under the name of one that it has',
    (broker) => craft(ATTACKER, broker.claims()),
    WRONG_SIGNATURE,
  ),
]

const KIDS: readonly unknown[] = [
  '../../../../dev/null',
  '/dev/null',
  "'UNION/**/SELECT/**/'1",
  "' UNION SELECT '1",
  '|sleep 10',
  '$(sleep\t10)',
  'x'.repeat(10_240),
  'x'.repeat(257),
  '',
  {},
  ['key-1'],
  5,
  null,
  true,
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  'key-1\0',
  'key-1\r\nset-cookie: a=b',
  'key-1 ',
  'KEY-1',
  '🔑',
  'ｋey-1',
  'key%2d1',
  'https://evil.example.net/key-1',
]
/** What the pre-parser lets through as a name; all else is malformed. */
const NAME = /^[\x21-\x7e]{1,256}$/

const names: readonly Attack[] = [
  ...[
    '{"alg":"none","alg":"RS256","kid":"key-1"}',
    '{"alg":"RS256","kid":"x","kid":"key-1"}',
    '{"alg":"RS256","\\u0061lg":"RS256","kid":"key-1"}',
  ].map((header) =>
    byToken(`A20 ${header}`, (broker) => craftWithHeader(broker.keys.ci, header, broker.claims()), MALFORMED),
  ),
  ...KIDS.map((kid) =>
    byToken(
      `A21 kid ${JSON.stringify(kid).slice(0, 40)}`,
      (broker) => broker.token('ci', {}, { kid }),
      typeof kid === 'string' && NAME.test(kid) ? refused('key_unknown') : MALFORMED,
      {
        // Once the keys are known a name can lead nowhere: not to a file, a query, or a fetch.
        before: (broker) => witnessOf(broker, { form: { subject_token: broker.token() } }),
      },
    ),
  ),
  withHeader('A22 no kid, where the issuer has one key', { kid: undefined }),
  byToken(
    'A22 no kid, where the issuer has two keys of a kind',
    (broker) => broker.token('ci', {}, { kid: undefined }),
    MALFORMED,
    { before: (broker) => broker.publish('ci', [broker.keys.ci.jwk, RSA_OTHER.jwk]) },
  ),
  byToken('A23 two keys under the name of the token’s', (broker) => broker.token(), refused('key_unknown'), {
    before: (broker) =>
      broker.publish('ci', [broker.keys.ci.jwk, { ...RSA_OTHER.jwk, kid: 'key-1' }, RSA_OTHER.jwk]),
  }),
  byToken('A23 nothing but two keys of one name', (broker) => broker.token(), unavailable, {
    before: (broker) => broker.publish('ci', [broker.keys.ci.jwk, { ...RSA_OTHER.jwk, kid: 'key-1' }]),
  }),
]

const OTHER_KINDS = [
  'dpop+jwt',
  'secevent+jwt',
  'logout+jwt',
  'token-introspection+jwt',
  'statuslist+jwt',
  'client-authentication+jwt',
  'oauth-authz-req+jwt',
  'application/dpop+jwt',
  'text/jwt',
  'application/application/jwt',
  'jwt ',
  'JOSE',
  '',
]
const types: readonly Attack[] = [
  ...[
    undefined,
    'JWT',
    'jwt',
    'at+jwt',
    'application/at+jwt',
    'AT+JWT',
    'Application/AT+JWT',
    'application/jwt',
  ].map((typ) => withHeader(`A24 typ ${typ} is in order`, { typ }, granted())),
  ...OTHER_KINDS.map((typ) =>
    withHeader(`A24 typ ${JSON.stringify(typ)}`, { typ }, refused('token_type_mismatch')),
  ),
  ...[5, null, ['JWT'], {}].map((typ) => withHeader(`A24 typ ${JSON.stringify(typ)}`, { typ })),
  byToken(
    'A25 a DPoP proof, with its key inside',
    (broker) => craftWithHeader(EC, { typ: 'dpop+jwt', alg: 'ES256', jwk: EC.jwk }, dpopClaims(broker)),
    MALFORMED,
  ),
  byToken(
    'A25 a DPoP proof that names a known issuer and key',
    (broker) => broker.token('ci', { htm: 'POST', htu: `${BROKER_ISSUER}/token` }, { typ: 'dpop+jwt' }),
    refused('token_type_mismatch'),
  ),
  byToken(
    'A25 a client assertion',
    (broker) => craft(ATTACKER, { ...broker.claims(), iss: 'checkout', sub: 'checkout', aud: BROKER_ISSUER }),
    refused('issuer_not_trusted'),
  ),
  ...['token-introspection+jwt', 'JWT', 'statuslist+jwt', 'dpop+jwt', undefined].map((typ) =>
    byToken(
      `A25 what we signed ourselves, as ${typ}`,
      (broker) => broker.ownToken({}, { typ }),
      refused('token_type_mismatch'),
    ),
  ),
  byToken(
    'A25 our own text for proving a key',
    async (broker) => {
      const key = await broker.signer.activeKey('RS256')
      const input = [{ alg: 'RS256', kid: key.kid }, 'self-test of a key'].map(encodePart).join('.')
      const signature = await broker.signer.sign(key, input)
      return `${input}.${Buffer.from(signature).toString('base64url')}`
    },
    MALFORMED,
  ),
]

function dpopClaims(broker: AttackedBroker): object {
  return { ...broker.claims(), htm: 'POST', htu: `${BROKER_ISSUER}/token`, aud: OUR_AUDIENCE, iat: NOW }
}

const GOOD_HEADER = JSON.stringify(headerOf({}))
const utf16 = (text: string, swap: boolean): Buffer => {
  const bytes = Buffer.from(`\ufeff${text}`, 'utf16le')
  return swap ? bytes.swap16() : bytes
}
const utf32 = (text: string): Buffer => Buffer.from(Uint32Array.from(Buffer.from(text)).buffer)

const ENCODINGS: Readonly<Record<string, (text: string) => Part>> = {
  'a byte order mark': (text) => `\ufeff${text}`,
  'UTF-16, little end first': (text) => utf16(text, false),
  'UTF-16, big end first': (text) => utf16(text, true),
  'UTF-32': utf32,
  'a byte that is no UTF-8': (text) =>
    Buffer.concat([Buffer.from(text.slice(0, -1)), Buffer.from([0xff, 0x7d])]),
  'an overlong quote': (text) =>
    Buffer.from(Buffer.from(text).toString('latin1').replace('"', '\xc0\xa2'), 'latin1'),
  'a surrogate in UTF-8': (text) =>
    Buffer.concat([
      Buffer.from(`${text.slice(0, -1)},"x":"`),
      Buffer.from([0xed, 0xa0, 0x80]),
      Buffer.from('"}'),
    ]),
  'something behind the object': (text) => `${text}{}`,
  'a NUL behind the object': (text) => `${text}\0`,
  'a comment': (text) => text.replace('{', '{/* */'),
  'a comma at the end': (text) => text.replace(/\}$/, ',}'),
  'single quotes': (text) => text.replaceAll('"', "'"),
}

const encodings: readonly Attack[] = [
  ...['[]', '"x"', '5', 'null', 'true', '[{"alg":"RS256","kid":"key-1"}]', '', ' '].flatMap((text) => [
    byToken(
      `A26 the header ${text || 'empty'}`,
      (broker) => craftWithHeader(broker.keys.ci, text, broker.claims()),
      MALFORMED,
    ),
    byToken(`A26 the payload ${text || 'empty'}`, (broker) => craft(broker.keys.ci, text), MALFORMED),
  ]),
  ...Object.entries(ENCODINGS).flatMap(([name, encode]) => [
    byToken(
      `A26 ${name} in the header`,
      (broker) => craftWithHeader(broker.keys.ci, encode(GOOD_HEADER), broker.claims()),
      MALFORMED,
    ),
    byToken(
      `A26 ${name} in the payload`,
      (broker) => craft(broker.keys.ci, encode(JSON.stringify(broker.claims()))),
      MALFORMED,
    ),
  ]),
  withHeader('A26 a header of more than 8 kB', { x: 'x'.repeat(8192) }),
  withHeader('A26 a header of 7 kB is in order', { x: 'x'.repeat(7000) }, granted()),
  withHeader(
    'A27 header parameters that nobody knows, and that are not critical',
    { x5t: 'AAAA', 'x5t#S256': 'AAAA', ver: '1', url: EVIL, nonce: 'n', iss: issuerUrl('pod') },
    granted(({ claims }) => expect(claims).toMatchObject({ aud: PAYMENTS, idp: issuerUrl('ci') })),
  ),
  byToken(
    'A27 white space in the JSON of both parts',
    (broker) =>
      craftWithHeader(
        broker.keys.ci,
        JSON.stringify(headerOf({}), null, 2),
        JSON.stringify(broker.claims(), null, '\t'),
      ),
    granted(),
  ),
]

describeAttacks('the algorithm of a subject token', algorithms)
describeAttacks('a key and the algorithm it is for', primitives)
describeAttacks('keys that a token brings along', embeddedKeys)
describeAttacks('extensions of a token', extensions)
describeAttacks('the form of a token', forms)
describeAttacks('the base64url of a token', base64)
describeAttacks('ECDSA signatures', ecdsa)
describeAttacks('RSA signatures', rsa)
describeAttacks('names in a header', names)
describeAttacks('types of token', types)
describeAttacks('encodings of header and payload', encodings)
