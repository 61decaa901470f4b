/** A metric math expression, parsed. */
export type Expression =
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'text'; readonly text: string }
  /** The id of a metric or of another expression, or a word such as `REPEAT`. */
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'list'; readonly items: readonly Expression[] }
  | { readonly kind: 'call'; readonly name: string; readonly arguments: readonly Expression[] }
  | { readonly kind: 'negative'; readonly of: Expression }
  | {
      readonly kind: 'operation'
      readonly operator: Operator
      readonly left: Expression
      readonly right: Expression
    }

export type Operator = keyof typeof BINDING

/** The expression is not one of metric math; the message says where. */
export class ExpressionError extends Error {
  override readonly name = 'ExpressionError'
}

/** How tightly an operator binds. */
const BINDING = {
  OR: 1,
  AND: 2,
  '==': 3,
  '!=': 3,
  '<=': 3,
  '>=': 3,
  '<': 3,
  '>': 3,
  '+': 4,
  '-': 4,
  '*': 5,
  '/': 5,
  '^': 6,
} as const

const NEGATION_BINDING = 7
/** CloudWatch's own limit. */
const MAX_LENGTH = 2048
const MAX_DEPTH = 50

const SYNONYMS: Readonly<Record<string, Operator>> = { '||': 'OR', '&&': 'AND' }
const TOKEN =
  /\s*(?:(\d+(?:\.\d+)?|\.\d+)|([A-Za-z_]\w*)|("[^"]*"|'[^']*')|(&&|\|\||[<>=!]=|[-+*/^<>(),[\]]))/y

interface Token {
  readonly kind: 'number' | 'word' | 'text' | 'sign'
  readonly text: string
  readonly at: number
}

/** Parses metric math. Throws {@link ExpressionError} for what is none, too long or too deep. */
export function parseExpression(source: string): Expression {
  if (source.length > MAX_LENGTH) throw new ExpressionError(`longer than ${MAX_LENGTH} characters`)
  return new Parser(source, tokensOf(source)).whole()
}

function tokensOf(source: string): readonly Token[] {
  const tokens: Token[] = []
  const end = source.trimEnd().length
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < end) {
    const start = TOKEN.lastIndex
    const found = TOKEN.exec(source)
    if (found === null) throw new ExpressionError(`unexpected text at character ${start + 1}`)
    const [, number, word, text, sign = ''] = found
    if (number !== undefined) tokens.push({ kind: 'number', text: number, at: start })
    else if (word !== undefined) tokens.push({ kind: 'word', text: word, at: start })
    else if (text !== undefined) tokens.push({ kind: 'text', text: text.slice(1, -1), at: start })
    else tokens.push({ kind: 'sign', text: sign, at: start })
  }
  return tokens
}

class Parser {
  readonly #source: string
  readonly #tokens: readonly Token[]
  #next = 0
  #depth = 0

  constructor(source: string, tokens: readonly Token[]) {
    this.#source = source
    this.#tokens = tokens
  }

  whole(): Expression {
    const expression = this.#expression(0)
    if (this.#tokens[this.#next] !== undefined) this.#fail()
    return expression
  }

  /** Everything that binds tighter than `binding`. */
  #expression(binding: number): Expression {
    this.#depth += 1
    if (this.#depth > MAX_DEPTH) throw new ExpressionError(`nested more than ${MAX_DEPTH} deep`)
    let left = this.#operand()
    for (let operator = this.#operator(); operator !== undefined; operator = this.#operator()) {
      if (BINDING[operator] <= binding) break
      this.#next += 1
      left = { kind: 'operation', operator, left, right: this.#expression(BINDING[operator]) }
    }
    this.#depth -= 1
    return left
  }

  #operator(): Operator | undefined {
    const { kind, text = '' } = this.#tokens[this.#next] ?? {}
    if (kind !== 'sign' && kind !== 'word') return undefined
    const operator = SYNONYMS[text] ?? text
    return Object.hasOwn(BINDING, operator) ? (operator as Operator) : undefined
  }

  #operand(): Expression {
    const token = this.#take()
    switch (token.kind) {
      case 'number':
        return { kind: 'number', value: Number(token.text) }
      case 'text':
        return { kind: 'text', text: token.text }
      case 'word':
        return this.#isNext('(')
          ? { kind: 'call', name: token.text, arguments: this.#listUntil('(', ')') }
          : { kind: 'name', name: token.text }
      case 'sign':
        return this.#signed(token)
    }
  }

  #signed({ text }: Token): Expression {
    if (text === '-') return { kind: 'negative', of: this.#expression(NEGATION_BINDING) }
    this.#next -= 1
    if (text === '[') return { kind: 'list', items: this.#listUntil('[', ']') }
    const [inner, ...others] = text === '(' ? this.#listUntil('(', ')') : []
    return inner === undefined || others.length > 0 ? this.#fail() : inner
  }

  #listUntil(open: string, close: string): readonly Expression[] {
    this.#expect(open)
    const items: Expression[] = []
    if (!this.#isNext(close)) {
      items.push(this.#expression(0))
      while (this.#isNext(',')) {
        this.#next += 1
        items.push(this.#expression(0))
      }
    }
    this.#expect(close)
    return items
  }

  #isNext(sign: string): boolean {
    const token = this.#tokens[this.#next]
    return token?.kind === 'sign' && token.text === sign
  }

  #expect(sign: string): void {
    if (!this.#isNext(sign)) this.#fail()
    this.#next += 1
  }

  #take(): Token {
    const token = this.#tokens[this.#next]
    if (token === undefined) return this.#fail()
    this.#next += 1
    return token
  }

  #fail(): never {
    const at = this.#tokens[this.#next]?.at ?? this.#source.length
    throw new ExpressionError(`unexpected text at character ${at + 1}`)
  }
}
