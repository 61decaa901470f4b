import { type Document, isCollection, isScalar, visit, type YAMLParseError } from 'yaml'

/** What is wrong at a place of a text, and what is allowed there. */
export interface YamlProblem {
  readonly offset: number
  readonly message: string
}

type Slip = Omit<YamlProblem, 'offset'>

const COLUMNS = 'the keys of one map in one column'
const QUOTES = 'quotes around a text that begins so'

/** What the parser's errors are about, most often, in the words of somebody who writes a policy. */
const SLIPS: { readonly [Code in YAMLParseError['code']]?: Slip } = {
  MULTILINE_IMPLICIT_KEY: {
    message:
      'found a text without a colon where a key should be; allowed: `key: value`, with a space after the colon',
  },
  BLOCK_AS_IMPLICIT_KEY: {
    message: `found a value that goes on with a colon; allowed: ${COLUMNS}, and quotes around a text with ": " in it`,
  },
  BAD_INDENT: { message: `found a line in another column than those before it; allowed: ${COLUMNS}` },
  TAB_AS_INDENT: { message: 'found a tab; allowed: spaces' },
  BAD_SCALAR_START: { message: `found a character that means something in YAML; allowed: ${QUOTES}` },
  BAD_ALIAS: { message: `found * or & at the beginning of a value; allowed: ${QUOTES}` },
  BAD_DQ_ESCAPE: { message: 'found a backslash in "…"; allowed: \\\\ for one, or \'…\' around the text' },
  RESOURCE_EXHAUSTION: { message: 'found too many levels to read; allowed: fewer' },
  MULTIPLE_DOCS: { message: 'found a second document; allowed: one in each file' },
}

/** A space that looks like one, and to YAML is a letter: from a web page or a word processor. */
const ODD_INDENT = /^[ \t]*(?![ \t\r\n])[\s\u200b\u2060]/m

/**
 * The first thing that keeps a text from being what its author means, or `undefined`. What the parser says after it follows
 * from it.
 */
export function yamlSlip(document: Document, text: string): YamlProblem | undefined {
  const odd = ODD_INDENT.exec(text)
  if (odd !== null) {
    const message = 'found something that looks like a space and is none; allowed: spaces'
    return { offset: odd.index + odd[0].length - 1, message }
  }
  const [first] = document.errors.toSorted((a, b) => a.pos[0] - b.pos[0])
  return first && (unclosed(first, document) ?? slipOf(first, text))
}

function slipOf({ code, pos: [offset], message }: YAMLParseError, text: string): YamlProblem {
  const known = SLIPS[code]
  if (known === undefined) return { offset, message: `found invalid YAML: ${message}; allowed: YAML 1.2` }
  // The parser names the beginning of the line.
  const indent = code === 'BAD_INDENT' ? (/^[ ]*/.exec(text.slice(offset))?.[0].length ?? 0) : 0
  return { offset: offset + indent, ...known }
}

/** The parser says where it gave up; what was not closed begins further up. */
function unclosed({ pos: [end], message }: YAMLParseError, document: Document): YamlProblem | undefined {
  const [, mark] = /(?:end with a |Missing closing )([\]}"'])/.exec(message) ?? []
  if (mark === undefined) return undefined
  const begins: number[] = []
  visit(document, {
    Node: (_, node) => {
      const isOpened = isCollection(node) ? node.flow : isScalar(node) && node.type?.startsWith('QUOTE')
      if (isOpened === true && node.range?.[1] === end) begins.push(node.range[0])
    },
  })
  const what = { ']': 'a [', '}': 'a {' }[mark] ?? `a ${mark}`
  return {
    offset: begins.at(-1) ?? end,
    message: `found ${what} that is not closed; allowed: ${mark} at its end`,
  }
}
