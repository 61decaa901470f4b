import type { AlarmState } from './alarm-state.ts'

/** The rule of a composite alarm, parsed. */
export type Rule =
  | { readonly kind: 'constant'; readonly holds: boolean }
  /** Whether an alarm, by its name or ARN, is in a state. */
  | { readonly kind: 'state'; readonly state: AlarmState; readonly alarm: string }
  | { readonly kind: 'not'; readonly of: Rule }
  | { readonly kind: 'and' | 'or'; readonly all: readonly Rule[] }
  /** Whether at least so many of the conditions hold. */
  | { readonly kind: 'at-least'; readonly number: number; readonly of: readonly Rule[] }

/** The rule is none that CloudWatch takes; the message says where. */
export class RuleError extends Error {
  override readonly name = 'RuleError'
}

/** CloudWatch's own limits. */
const MAX_LENGTH = 10_240
const MAX_ALARMS = 100
const MAX_DEPTH = 50
const TOKEN = /\s*(?:"([^"]*)"|([()!,])|([^\s(),"]+))/y
const STATES: readonly string[] = ['ALARM', 'OK', 'INSUFFICIENT_DATA'] satisfies readonly AlarmState[]

interface Token {
  readonly text: string
  readonly isQuoted: boolean
  readonly at: number
}

/**
 * Parses the rule of a composite alarm. Throws {@link RuleError}; also for AND beside OR without parentheses, because
 * which of them binds tighter is not documented.
 */
export function parseRule(source: string): Rule {
  if (source.length > MAX_LENGTH) throw new RuleError(`longer than ${MAX_LENGTH} characters`)
  const rule = new Parser(tokensOf(source)).whole()
  const alarms = new Set(alarmsIn(rule))
  if (alarms.size > MAX_ALARMS) throw new RuleError(`more than ${MAX_ALARMS} alarms`)
  return rule
}

/** The alarms that a rule names. */
export function alarmsIn(rule: Rule): readonly string[] {
  switch (rule.kind) {
    case 'constant':
      return []
    case 'state':
      return [rule.alarm]
    case 'not':
      return alarmsIn(rule.of)
    case 'and':
    case 'or':
      return rule.all.flatMap(alarmsIn)
    case 'at-least':
      return rule.of.flatMap(alarmsIn)
  }
}

function tokensOf(source: string): readonly Token[] {
  const tokens: Token[] = []
  const end = source.trimEnd().length
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < end) {
    const at = TOKEN.lastIndex
    const found = TOKEN.exec(source)
    if (found === null) throw new RuleError(`unexpected text at character ${at + 1}`)
    const [, quoted, sign, word = ''] = found
    tokens.push({ text: quoted ?? sign ?? word, isQuoted: quoted !== undefined, at })
  }
  return tokens
}

class Parser {
  readonly #tokens: readonly Token[]
  #next = 0
  #depth = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  whole(): Rule {
    const rule = this.#rule()
    if (this.#tokens[this.#next] !== undefined) this.#fail()
    return rule
  }

  #rule(): Rule {
    this.#depth += 1
    if (this.#depth > MAX_DEPTH) throw new RuleError(`nested more than ${MAX_DEPTH} deep`)
    const first = this.#operand()
    const operator = this.#peek()
    const kind = operator === 'AND' ? 'and' : 'or'
    const all = [first]
    while (isOperator(operator) && operator === this.#peek()) {
      this.#next += 1
      all.push(this.#operand())
    }
    if (isOperator(this.#peek())) throw new RuleError('AND and OR side by side need parentheses')
    this.#depth -= 1
    return all.length === 1 ? first : { kind, all }
  }

  #operand(): Rule {
    const token = this.#take()
    if (token.isQuoted) return this.#fail()
    if (token.text === '(') {
      const rule = this.#rule()
      this.#expect(')')
      return rule
    }
    if (token.text === 'NOT' || token.text === '!') return { kind: 'not', of: this.#nested() }
    if (token.text === 'TRUE' || token.text === 'FALSE')
      return { kind: 'constant', holds: token.text === 'TRUE' }
    if (token.text === 'AT_LEAST') return this.#atLeast()
    if (isState(token.text)) {
      this.#expect('(')
      const alarm = this.#name()
      this.#expect(')')
      return { kind: 'state', state: token.text, alarm }
    }
    return this.#fail()
  }

  /** `NOT NOT …` must not nest for ever either. */
  #nested(): Rule {
    this.#depth += 1
    if (this.#depth > MAX_DEPTH) throw new RuleError(`nested more than ${MAX_DEPTH} deep`)
    const rule = this.#operand()
    this.#depth -= 1
    return rule
  }

  /** `AT_LEAST(2, ALARM, (a, b, c))` or, of their number, `AT_LEAST(50%, NOT OK, (a, b))`. */
  #atLeast(): Rule {
    this.#expect('(')
    const threshold = /^(\d{1,3})(%?)$/.exec(this.#take().text)
    this.#expect(',')
    const isNegated = this.#peek() === 'NOT'
    if (isNegated) this.#next += 1
    const { text: state } = this.#take()
    if (threshold === null || !isState(state)) return this.#fail()
    this.#expect(',')
    this.#expect('(')
    const of = this.#names().map((alarm): Rule => {
      const condition = { kind: 'state', state, alarm } as const
      return isNegated ? { kind: 'not', of: condition } : condition
    })
    this.#expect(')')
    this.#expect(')')
    const [, digits, percent] = threshold
    const number = percent === '%' ? Math.ceil((of.length * Number(digits)) / 100) : Number(digits)
    if (number < 1 || number > of.length) throw new RuleError(`AT_LEAST ${number} of ${of.length} alarms`)
    return { kind: 'at-least', number, of }
  }

  #names(): readonly string[] {
    const names = [this.#name()]
    while (this.#peek() === ',') {
      this.#next += 1
      names.push(this.#name())
    }
    return names
  }

  #name(): string {
    const { text, isQuoted } = this.#take()
    return !isQuoted && /^[()!,]$/.test(text) ? this.#fail() : text
  }

  /** The next token, if it is not a quoted text. */
  #peek(): string | undefined {
    const token = this.#tokens[this.#next]
    return token === undefined || token.isQuoted ? undefined : token.text
  }

  #expect(sign: string): void {
    if (this.#peek() !== sign) this.#fail()
    this.#next += 1
  }

  #take(): Token {
    const token = this.#tokens[this.#next]
    if (token === undefined) return this.#fail()
    this.#next += 1
    return token
  }

  #fail(): never {
    const token = this.#tokens[Math.min(this.#next, this.#tokens.length - 1)]
    throw new RuleError(`unexpected text near character ${(token?.at ?? 0) + 1}`)
  }
}

function isOperator(text: string | undefined): boolean {
  return text === 'AND' || text === 'OR'
}

function isState(text: string): text is AlarmState {
  return STATES.includes(text)
}
