import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AUDIENCE, aMonthOfRotations, DAYS, ISSUER, type JwkSet } from '../../rotate-keys/month.ts'
import { type Broker, EXCHANGES, startBroker } from '../broker.ts'
import { buildOnce, CACHE, needs, pythonEnvironment } from '../install.ts'
import { type Leg, type LegContext, type LegOutcome, LegSkipped, outcomeOf } from '../leg.ts'
import { runOrThrow } from '../processes.ts'

const SOURCES = fileURLToPath(new URL('../verifiers/', import.meta.url))
const GO_OIDC = 'github.com/coreos/go-oidc/v3@v3.21.0'
const NIMBUS = 'com.nimbusds:nimbus-jose-jwt:10.10'
const MAVEN_DEPENDENCY = 'org.apache.maven.plugins:maven-dependency-plugin:3.11.0'

interface Case {
  readonly name: string
  readonly accepted: boolean
  readonly token: string
  readonly algorithm: string
  readonly audience: string
  readonly issuer: string
  /** The keys that the verifier has, as an index, and the time, epoch seconds: in the simulated month. */
  readonly keySet?: number
  readonly now?: number
}

/** What one file tells a verifier. */
interface Task {
  readonly brokerUrl: string
  readonly jwksUrl: string
  readonly cases: readonly Case[]
  readonly keySets?: readonly JwkSet[]
}

interface Verdict {
  readonly accepted: boolean
  readonly detail: string
}

/** A verifier: how to install it, which gives how to run it with the file of cases. */
interface Verifier {
  readonly name: string
  install(): Promise<(casesFile: string) => readonly [command: string, ...args: string[]]>
}

const VERIFIERS: readonly Verifier[] = [
  {
    name: 'Python, PyJWT 2.15.1 by the JWKS URL',
    install: async () => {
      const bin = await pythonEnvironment('pyjwt', ['PyJWT[crypto]==2.15.1'])
      return (cases) => [join(bin, 'python'), join(SOURCES, 'verify.py'), cases]
    },
  },
  {
    name: `Go, ${GO_OIDC} by the discovery document`,
    install: async () => {
      const folder = await buildGo()
      return (cases) => [join(folder, 'verify'), cases]
    },
  },
  {
    name: `Java, ${NIMBUS} by the JWKS URL`,
    install: async () => {
      const folder = await resolveJava()
      return (cases) => ['java', '-cp', join(folder, '*'), join(SOURCES, 'Verify.java'), cases]
    },
  },
]

export const verifiers: Leg = {
  name: 'verifiers',
  proves: 'libraries of other languages accept our tokens by what we publish, and refuse forged ones',
  run: verifyEverywhere,
}

async function verifyEverywhere(context: LegContext): Promise<LegOutcome> {
  const broker = await startBroker(context)
  const live = { brokerUrl: broker.url, jwksUrl: broker.jwksUrl }
  const cases = await casesFor(broker)
  context.say(`${DAYS} days with a new signing key every day, in virtual time`)
  const months = await monthFor(VERIFIERS.length)
  const folder = mkdtempSync(join(tmpdir(), 'token-broker-verifiers-'))
  context.defer(() => rmSync(folder, { recursive: true, force: true }))
  const problems: string[] = []
  const [ran, missing]: [string[], string[]] = [[], []]
  for (const [index, verifier] of VERIFIERS.entries()) {
    context.say(verifier.name)
    try {
      for (const part of [{ cases }, months[index] ?? { cases: [] }])
        problems.push(...(await verdictsOf(verifier, folder, { ...live, ...part })))
      ran.push(verifier.name)
    } catch (error) {
      if (!(error instanceof LegSkipped)) throw error
      missing.push(`${verifier.name} did not run: ${error.message}`)
    }
  }
  if (ran.length === 0) return { kind: 'skipped', why: missing.join('; ') }
  const counts = months.map((month) => month.cases.length).join(', ')
  const summary = `${ran.length} verifiers, ${cases.length} tokens each, and ${counts} of ${DAYS} days with a new key every day`
  return outcomeOf(problems, summary, missing)
}

async function verdictsOf(verifier: Verifier, folder: string, task: Task): Promise<readonly string[]> {
  const { cases } = task
  const casesFile = join(folder, 'cases.json')
  writeFileSync(casesFile, JSON.stringify(task))
  const [command, ...args] = (await verifier.install())(casesFile)
  const { stdout } = await runOrThrow(command, args)
  const verdicts = JSON.parse(stdout) as readonly Verdict[]
  return cases.flatMap(({ name, accepted }, index) => {
    const verdict = verdicts[index]
    if (verdict?.accepted === accepted) return []
    return [
      `${verifier.name}: ${name}: ${accepted ? 'refused' : 'accepted'} (${verdict?.detail ?? 'no verdict'})`,
    ]
  })
}

async function casesFor(broker: Broker): Promise<readonly Case[]> {
  const cases = EXCHANGES.map(async ({ algorithm, preset, audience }) => {
    const token = await broker.accessToken(preset, audience)
    const good = { token, algorithm, audience, issuer: broker.url }
    return [
      { ...good, name: `a good ${algorithm} token`, accepted: true },
      { ...good, name: `${algorithm}, signature changed`, accepted: false, token: withFlippedBit(token, 2) },
      { ...good, name: `${algorithm}, claims changed`, accepted: false, token: withFlippedBit(token, 1) },
      {
        ...good,
        name: `${algorithm}, for another audience`,
        accepted: false,
        audience: 'https://other.example.com',
      },
      {
        ...good,
        name: `${algorithm}, of another issuer`,
        accepted: false,
        issuer: 'https://other.example.com',
      },
    ]
  })
  return (await Promise.all(cases)).flat()
}

/** One in so many tokens of the month is also one that must be refused: too late, or by keys from before its own. */
const FORGED_EVERY = 25
/** Longer than the leeway of any of the libraries. */
const TOO_LATE_SECONDS = 120

/** For each of the verifiers all tokens of the month, with the keys as it had them at the time. */
async function monthFor(verifiers: number): Promise<readonly Pick<Task, 'cases' | 'keySets'>[]> {
  const cases: Case[][] = Array.from({ length: verifiers }, () => [])
  const keySets: JwkSet[] = []
  const indexOf = (set: JwkSet) => (keySets.includes(set) ? keySets.indexOf(set) : keySets.push(set) - 1)
  for await (const { now, valid, keySets: held } of aMonthOfRotations(verifiers)) {
    for (const [verifier, set] of held.entries())
      for (const { token, algorithm, kid, exp } of valid) {
        const own = cases[verifier] ?? []
        const given = { token, algorithm, audience: AUDIENCE, issuer: ISSUER, keySet: indexOf(set), now }
        own.push({ ...given, name: `at ${now} by ${kid}`, accepted: true })
        if (own.length % FORGED_EVERY !== 0) continue
        own.push({ ...given, name: `${kid} after its end`, accepted: false, now: exp + TOO_LATE_SECONDS })
        const isOfFirstKeys = keySets[0]?.keys.some((key) => key['kid'] === kid)
        if (!isOfFirstKeys)
          own.push({ ...given, name: `${kid}, not in the keys`, accepted: false, keySet: 0 })
      }
  }
  return cases.map((own) => ({ cases: own, keySets }))
}

/** The token with one bit changed in the middle of one of its parts. */
function withFlippedBit(token: string, part: 1 | 2): string {
  const parts = token.split('.')
  const bytes = Buffer.from(parts[part] ?? '', 'base64url')
  const middle = bytes.length >> 1
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle)
  return parts.with(part, bytes.toString('base64url')).join('.')
}

async function buildGo(): Promise<string> {
  await needs('go')
  const source = readFileSync(join(SOURCES, 'verify.go'), 'utf8')
  return buildOnce('go-oidc', `${GO_OIDC}\n${source}`, async (folder) => {
    copyFileSync(join(SOURCES, 'verify.go'), join(folder, 'verify.go'))
    const go = (...args: string[]) =>
      runOrThrow('go', args, { cwd: folder, environment: { GOFLAGS: '-buildvcs=false -mod=mod' } })
    await go('mod', 'init', 'verify')
    await go('get', GO_OIDC)
    await go('build', '-o', 'verify', '.')
  })
}

async function resolveJava(): Promise<string> {
  await needs('java')
  await needs('mvn')
  const [group, artifact, version] = NIMBUS.split(':')
  const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>conformance</groupId>
  <artifactId>verify</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>
  </dependencies>
</project>
`
  return buildOnce('nimbus', `${MAVEN_DEPENDENCY}\n${pom}`, async (folder) => {
    writeFileSync(join(folder, 'pom.xml'), pom)
    const repository = `-Dmaven.repo.local=${join(CACHE, 'maven')}`
    const args = ['--batch-mode', '--quiet', repository, `-DoutputDirectory=${folder}`]
    await runOrThrow('mvn', [...args, `${MAVEN_DEPENDENCY}:copy-dependencies`], { cwd: folder })
  })
}
