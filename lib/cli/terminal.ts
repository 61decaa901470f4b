import { createInterface } from 'node:readline/promises'
import { styleText } from 'node:util'

/** How text may look. */
export type Style = 'bold' | 'dim' | 'red' | 'yellow' | 'green'

/** Whom a command talks to. */
export interface Terminal {
  /** Writes a line of the result. */
  out(line: string): void
  /** Writes a line about the result: errors, warnings, progress, plans. */
  err(line: string): void
  /** Whether somebody is there to answer a question. */
  readonly isInteractive: boolean
  /** The text in a style where `stream` shows styles. */
  style(style: Style, text: string, stream?: 'out' | 'err'): string
  /** Asks, and waits for a line. */
  ask(question: string): Promise<string>
  /** Everything from standard input, until its end. */
  readInput(): Promise<string>
}

/** The terminal that this process was started from. */
export function processTerminal(environment: NodeJS.ProcessEnv = process.env): Terminal {
  const { stdin, stdout, stderr } = process
  const shows = (stream: NodeJS.WriteStream) => stream.isTTY && !environment['NO_COLOR']
  return {
    out: (line) => void stdout.write(`${line}\n`),
    err: (line) => void stderr.write(`${line}\n`),
    isInteractive: stdin.isTTY && stderr.isTTY,
    style: (style, text, stream = 'out') =>
      shows(stream === 'out' ? stdout : stderr) ? styleText(style, text, { validateStream: false }) : text,
    ask: async (question) => {
      // On standard error: standard output is the result alone.
      const lines = createInterface({ input: stdin, output: stderr })
      try {
        return await lines.question(question)
      } finally {
        lines.close()
      }
    },
    readInput: async () => {
      const chunks: Buffer[] = []
      for await (const chunk of stdin as AsyncIterable<Buffer>) chunks.push(chunk)
      return Buffer.concat(chunks).toString('utf8')
    },
  }
}

const PATIENCE_MILLISECONDS = 2000

/** Does `work`; if it takes over two seconds, says every two seconds how far it is. */
export async function withProgress<T>(
  terminal: Terminal,
  progress: () => string,
  work: Promise<T>,
): Promise<T> {
  const timer = setInterval(
    () => terminal.err(terminal.style('dim', progress(), 'err')),
    PATIENCE_MILLISECONDS,
  )
  try {
    return await work
  } finally {
    clearInterval(timer)
  }
}

/** JSON for machines, in ASCII: nothing of it moves the cursor of a terminal that it is shown on. */
export function asciiJson(value: unknown): string {
  return JSON.stringify(value, null, 2).replaceAll(/[^\x20-\x7e\n]/g, escapedUnit)
}

/** `\\uXXXX` for one UTF-16 code unit, as JSON escapes it. */
export function escapedUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** Rows under their headings, in columns. */
export function tableLines(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
): readonly string[] {
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => (row[column] ?? '').length)),
  )
  return [headings, ...rows].map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
