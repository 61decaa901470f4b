import type { Terminal } from '../../lib/cli/terminal.ts'

/** Keeps what is written, and types what it was told to. */
export class MemoryTerminal implements Terminal {
  outText = ''
  errText = ''
  readonly isInteractive: boolean
  readonly questions: string[] = []
  private readonly answers: readonly string[]
  private readonly input: string

  /** `answers` are typed in turn; without any, nobody is there. */
  constructor({ answers = [] as readonly string[], input = '' } = {}) {
    this.isInteractive = answers.length > 0
    this.answers = answers
    this.input = input
  }

  out(line: string): void {
    this.outText += `${line}\n`
  }

  err(line: string): void {
    this.errText += `${line}\n`
  }

  style(_style: string, text: string): string {
    return text
  }

  async ask(question: string): Promise<string> {
    this.questions.push(question)
    return this.answers[this.questions.length - 1] ?? ''
  }

  async readInput(): Promise<string> {
    return this.input
  }
}
