import { runCli } from '../../lib/cli/run.ts'
import { LOCAL_OPERATOR, type LocalCloud, startLocalCloud } from '../../lib/local/cloud.ts'
import type { CloudDefect } from '../../lib/local/cloud-defect.ts'
import type { SignRequest } from '../../lib/local/demo-issuer.ts'
import { isMeasurement } from '../../lib/local/log-line.ts'
import { type Synthesis, synthesize } from '../../lib/local/synthesize.ts'
import { MemoryTerminal } from '../cli/memory-terminal.ts'
import { type Answer, exchangeForm, postForm } from '../support/cloud.ts'
import { type PolicyWithClients, policyWithClients } from '../support/policy-with-clients.ts'

/** Something to practise: it injects a fault into a running broker, and says what must hold meanwhile. */
export interface GameDay {
  readonly name: string
  readonly about: string
  /** What somebody on call would type, in this order. */
  readonly commands: readonly string[]
  readonly runbook: string
  play(exercise: Exercise): Promise<void>
}

export interface Check {
  readonly what: string
  readonly holds: boolean
}

/** What was measured while one thing was so, as if that had lasted for so many minutes. */
export interface Phase {
  readonly name: string
  readonly minutes: number
  /** Lines of EMF. */
  readonly lines: readonly string[]
}

/** A broker on loopback, and what a game day does with it. */
export class Exercise {
  readonly checks: Check[] = []
  readonly phases: Phase[] = []
  readonly cloud: LocalCloud
  readonly #synthesis: Synthesis
  readonly #policy: PolicyWithClients
  readonly #lines: string[]
  readonly #defects: readonly CloudDefect[]
  readonly say: (step: string) => void

  private constructor(
    started: { cloud: LocalCloud; synthesis: Synthesis; policy: PolicyWithClients },
    heard: { lines: string[]; defects: readonly CloudDefect[] },
    say: (step: string) => void,
  ) {
    this.cloud = started.cloud
    this.#synthesis = started.synthesis
    this.#policy = started.policy
    this.#lines = heard.lines
    this.#defects = heard.defects
    this.say = say
  }

  static async start(say: (step: string) => void): Promise<Exercise> {
    say('starting the broker')
    const policy = await policyWithClients()
    const synthesis = synthesize({ policyFolder: policy.folder })
    const lines: string[] = []
    const defects: CloudDefect[] = []
    const cloud = await startLocalCloud({
      assemblyFolder: synthesis.assemblyFolder,
      issuers: synthesis.policy.issuers,
      // Runs when a phase ends, so that each phase has one.
      schedules: false,
      onDefect: (defect) => void defects.push(defect),
      onLog: (_name, line) => void (isMeasurement(line) && lines.push(line)),
    })
    return new Exercise({ cloud, synthesis, policy }, { lines, defects }, say)
  }

  get assemblyFolder(): string {
    return this.#synthesis.assemblyFolder
  }

  /** What would have failed on AWS, and not by an injected fault. */
  get defects(): readonly CloudDefect[] {
    return this.#defects
  }

  sign(request: SignRequest): Promise<string> {
    return this.cloud.demoIssuer.sign(request)
  }

  async exchange(subjectToken: string, audience: string): Promise<Answer> {
    const isOurs = subjectToken.includes('.') && (await this.#isOurs(subjectToken))
    const type = isOurs ? { subject_token_type: 'urn:ietf:params:oauth:token-type:access_token' } : {}
    return postForm(`${this.cloud.url}/token`, exchangeForm(subjectToken, { audience, ...type }))
  }

  async isActive(token: string): Promise<boolean> {
    const { authorization } = this.#policy
    const { body } = await postForm(`${this.cloud.url}/introspect`, { token }, { authorization })
    return (body as Readonly<Record<string, unknown>>)['active'] === true
  }

  /** Runs a command of `token-broker` as the operator. */
  async operate(...args: readonly string[]): Promise<{ readonly code: number; readonly out: string }> {
    return this.pipe('', ...args)
  }

  /** The same with something on standard input, which nobody sees. */
  async pipe(
    input: string,
    ...args: readonly string[]
  ): Promise<{ readonly code: number; readonly out: string }> {
    this.say(`typing: npx token-broker ${args.join(' ')}`)
    const terminal = new MemoryTerminal({ input })
    const aws = { endpoint: this.cloud.aws.url, region: 'eu-west-1', credentials: LOCAL_OPERATOR }
    const code = await runCli(args, { terminal, aws, now: () => Math.floor(Date.now() / 1000) })
    return { code, out: `${terminal.outText}${terminal.errText}` }
  }

  /** Notes whether something holds. */
  check(what: string, holds: boolean): void {
    this.checks.push({ what, holds })
    this.say(`${holds ? 'holds' : 'DOES NOT HOLD'}: ${what}`)
  }

  /** What has been measured since the last phase was this one. */
  async endPhase(name: string, minutes: number): Promise<void> {
    for (const scheduled of ['ProberFunction', 'RotateKeysFunction'])
      await this.cloud.invoke(scheduled, {}).catch(() => {})
    await this.cloud.delivered()
    this.phases.push({ name, minutes, lines: this.#lines.splice(0) })
  }

  async close(): Promise<void> {
    await this.cloud.close()
    this.#synthesis.dispose()
    this.#policy.dispose()
  }

  async #isOurs(token: string): Promise<boolean> {
    const [, payload = ''] = token.split('.')
    const { iss } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { readonly iss?: string }
    return iss === this.cloud.url
  }
}

/** The token of an answer that has one. Throws for any other: the exercise cannot go on. */
export function tokenIn({ status, body }: Answer): string {
  const { access_token: token } = body
  if (status !== 200 || token === undefined) throw new Error(`no token but ${status} ${JSON.stringify(body)}`)
  return token
}
