import { Lexer, isAlias, isMap, isScalar, isSeq, parseDocument } from 'yaml'
import type { Document, Node, ParsedNode } from 'yaml'
import type { Parsed, Problem } from '../base/problem.ts'
import type { PathPart } from './fault.ts'
import { quote } from './fault.ts'
import { problemAt } from './text.ts'
import type { PolicyText, Span } from './text.ts'

/** A YAML file as plain values, and its tree to find their places in. */
export type YamlSource = PolicyText & {
  /** Mappings have no prototype, so that no key of a file can mean anything to JavaScript. */
  readonly value: unknown
  readonly root: ParsedNode | null
  /** What of YAML was used and is not accepted; the value is what is left without it. */
  readonly refused: readonly Problem[]
}

type Refuse = (code: string, message: string, remedy?: string) => void

/** Deepest nesting of a policy; the reader is recursive, and a policy needs about ten. */
const DEEPEST = 64

/** Syntax errors after the first few are echoes of them. */
const MOST_SYNTAX_ERRORS = 20

/**
 * Reads one YAML 1.2 document without the parts of YAML that make a value look like something else:
 * aliases, merge keys, tags, other versions, numbers that are not written as people count.
 */
export function readYaml(source: PolicyText): Parsed<YamlSource> {
  const unfit = checkText(source) ?? checkDepth(source)
  if (unfit !== undefined) return { problems: [unfit] }
  const document = parseDocument(source.text, {
    version: '1.2',
    merge: false,
    prettyErrors: false,
    // The library compares each key with all before it: 18 s for 50,000 keys. We do it below.
    uniqueKeys: false,
  })
  const problems = [...directiveProblems(source, document), ...syntaxProblems(source, document)]
  if (problems.length > 0) return { problems }
  const found: Problem[] = []
  const value = valueOf(source, document.contents, [], found)
  return { value: { ...source, value, root: document.contents, refused: found } }
}

/** Finds the place of a value or of its key, or of the deepest part of the path that exists. */
export function placeOf(source: YamlSource, path: readonly PathPart[], on?: 'key'): Span {
  let node: Node | null = source.root
  let key: Node | null = null
  let complete = true
  for (const part of path) {
    const step = stepInto(node, part)
    if (step === undefined) {
      complete = false
      break
    }
    key = step.key ?? null
    node = step.value
  }
  const value = spanOf(node)
  const keySpan = spanOf(key)
  // Something missing from a mapping is shown at its key; so is a value that isn't there.
  const atKey = on === 'key' || !complete || value === undefined || value.end <= value.start
  return (atKey ? (keySpan ?? value) : value) ?? { start: 0, end: 0 }
}

function stepInto(
  node: Node | null,
  part: PathPart,
): { readonly key?: Node; readonly value: Node | null } | undefined {
  if (isSeq(node)) {
    const item = typeof part === 'number' ? node.items[part] : undefined
    return item === undefined ? undefined : { value: item as Node }
  }
  if (!isMap(node)) return undefined
  const pair = node.items.find(({ key }) => isScalar(key) && key.value === part)
  return pair === undefined
    ? undefined
    : { key: pair.key as Node, value: pair.value as Node | null }
}

function spanOf(node: Node | null): Span | undefined {
  const range = node?.range
  return range === undefined || range === null ? undefined : { start: range[0], end: range[1] }
}

/** Characters that YAML forbids, and those that make a reviewer read something else than a parser. */
function checkText(source: PolicyText): Problem | undefined {
  const place = (start: number): Span => ({ start, end: start + 1 })
  if (/^(?:\ufffe|[^]?\0)/.test(source.text)) {
    const message = 'this is not UTF-8 text; it looks like UTF-16 or a binary file'
    return problemAt(source, place(0), [], {
      code: 'not_text',
      message,
      remedy: 'save it as UTF-8',
    })
  }
  const start = source.text.search(/(?![\t\n\r])\p{Cc}|[\u202a-\u202e\u2066-\u2069\ufeff]|\p{Cs}/u)
  if (start === -1) return undefined
  const hex = (source.text.codePointAt(start) ?? 0).toString(16).padStart(4, '0')
  const message = `the character U+${hex.toUpperCase()} can't stand in a policy`
  const remedy = 'remove it; an editor may not show it'
  return problemAt(source, place(start), [], { code: 'control_character', message, remedy })
}

/** Bounds the nesting before anything recursive sees the text. */
function checkDepth(source: PolicyText): Problem | undefined {
  const columns: number[] = []
  let flow = 0
  let offset = 0
  let lineStart = 0
  for (const token of new Lexer().lex(source.text)) {
    // A scalar, an item or a complex key opens a level at its column, and closes those right of it.
    const opens = token === '\u001f' || token === '-' || token === '?'
    if (opens && flow === 0) {
      const column = offset - lineStart
      while ((columns.at(-1) ?? -1) > column) columns.pop()
      if (columns.at(-1) !== column) columns.push(column)
    }
    if (token === '[' || token === '{') flow += 1
    if (token === ']' || token === '}') flow = Math.max(0, flow - 1)
    if (flow + columns.length > DEEPEST) {
      const message = `nested more than ${DEEPEST} deep`
      return problemAt(source, { start: offset, end: offset + 1 }, [], {
        code: 'too_deep',
        message,
      })
    }
    // The lexer marks scalars, documents and errors with controls that are not in the text.
    if (!['\u0002', '\u0018', '\u001f'].includes(token)) {
      const newline = token.lastIndexOf('\n')
      if (newline !== -1) lineStart = offset + newline + 1
      offset += token.length
    }
  }
  return undefined
}

function directiveProblems(source: PolicyText, document: Document.Parsed): readonly Problem[] {
  const { yaml, tags } = document.directives
  const unknown = document.warnings.some(({ code }) => code === 'BAD_DIRECTIVE')
  if (yaml.version === '1.2' && Object.keys(tags).length === 1 && !unknown) return []
  const start = Math.max(0, source.text.search(/^%/m))
  const length = Math.max(1, source.text.slice(start, start + 80).search(/[\r\n]|$/))
  const message =
    yaml.version === '1.2'
      ? 'directives are not part of the policy language'
      : `YAML ${yaml.version} reads some values differently; policies are YAML 1.2`
  const fault = { code: 'directive_refused', message, remedy: 'remove this line' }
  return [problemAt(source, { start, end: start + length }, [], fault)]
}

function syntaxProblems(source: PolicyText, document: Document.Parsed): readonly Problem[] {
  return document.errors.slice(0, MOST_SYNTAX_ERRORS).map(({ code, message, pos }) => {
    const span = { start: Math.min(pos[0], source.text.length), end: pos[1] }
    if (code === 'MULTIPLE_DOCS') {
      const sentence = 'a file holds one policy: a second document begins here'
      const remedy = 'move it to a file of its own'
      return problemAt(source, span, [], { code: 'second_document', message: sentence, remedy })
    }
    const sentence = `this is not YAML: ${message.charAt(0).toLowerCase()}${message.slice(1)}`
    return problemAt(source, span, [], { code: 'yaml_syntax', message: sentence })
  })
}

/** Turns a node into a plain value, and collects what a policy may not contain. */
function valueOf(
  source: PolicyText,
  node: ParsedNode | null,
  path: readonly PathPart[],
  problems: Problem[],
): unknown {
  if (node === null) return null
  const refuse: Refuse = (code, message, remedy) => {
    const span = spanOf(node) ?? { start: 0, end: 0 }
    const fault = { code, message, ...(remedy === undefined ? {} : { remedy }) }
    problems.push(problemAt(source, span, path, fault))
  }
  if (isAlias(node)) {
    refuse('alias_refused', 'aliases are not part of the policy language', 'write the value again')
    return null
  }
  if (node.anchor !== undefined) {
    refuse('alias_refused', 'anchors are not part of the policy language', `remove &${node.anchor}`)
  }
  if (node.tag !== undefined && node.tag !== '!') {
    refuse('tag_refused', 'tags are not part of the policy language', 'remove the tag')
  }
  if (isSeq(node)) {
    return node.items.map((item, index) => {
      return valueOf(source, item, [...path, index], problems)
    })
  }
  if (isMap(node)) return mappingOf(source, node, path, problems)
  if (isScalar(node)) return scalarOf(node.value, node.source, refuse)
  return null
}

function mappingOf(
  source: PolicyText,
  node: { readonly items: readonly { readonly key: unknown; readonly value: unknown }[] },
  path: readonly PathPart[],
  problems: Problem[],
): unknown {
  const mapping = Object.create(null) as Record<string, unknown>
  for (const pair of node.items) {
    const keyNode = pair.key as ParsedNode | null
    const key = isScalar(keyNode) ? keyNode.value : keyNode
    const refused = refuseKey(key, keyNode, mapping)
    if (refused !== undefined || typeof key !== 'string') {
      const span = spanOf(keyNode) ?? { start: 0, end: 0 }
      problems.push(problemAt(source, span, path, refused ?? { code: 'key_invalid', message: '' }))
      continue
    }
    mapping[key] = valueOf(source, pair.value as ParsedNode | null, [...path, key], problems)
  }
  return mapping
}

function refuseKey(
  key: unknown,
  node: ParsedNode | null,
  mapping: Readonly<Record<string, unknown>>,
): { readonly code: string; readonly message: string; readonly remedy?: string } | undefined {
  if (typeof key !== 'string') {
    const written = isScalar(node) ? (node.source ?? '') : ''
    const remedy = written === '' ? 'write text before the colon' : `write "${written}" in quotes`
    return { code: 'key_invalid', message: 'a key is text', remedy }
  }
  if (isScalar(node) && (node.anchor !== undefined || (node.tag ?? '!') !== '!')) {
    return { code: 'tag_refused', message: 'a key has no anchor and no tag', remedy: 'remove it' }
  }
  if (key === '<<') {
    const message = 'merge keys are not part of the policy language'
    return { code: 'merge_key_refused', message, remedy: 'write the keys out' }
  }
  // Reading a property of this name gives the prototype, whatever a file says.
  if (key === '__proto__') return { code: 'unknown_key', message: '"__proto__" is not a known key' }
  if (key in mapping) {
    return {
      code: 'duplicate_key',
      message: `${quote(key)} stands here twice`,
      remedy: 'remove one',
    }
  }
  return isText(key) ? undefined : { code: 'control_character', message: 'this key is not text' }
}

function scalarOf(value: unknown, written: string | undefined, refuse: Refuse): unknown {
  if (typeof value === 'string' && !isText(value)) {
    const message = 'this text has a character that PostgreSQL can not store'
    refuse('control_character', message, 'remove \\0 and halves of surrogate pairs')
  }
  if (typeof value === 'number' && !isPlainNumber(written ?? '')) {
    const message = `the number ${quote(written ?? '')} may be read as another one`
    refuse('number_unclear', message, `write it in quotes, or as at most 15 decimal digits`)
  }
  return value
}

/** Decimal digits as people count, and few enough that no digit is lost. */
function isPlainNumber(written: string): boolean {
  if (written.length > 20 || !/^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?$/.test(written)) return false
  return written.replaceAll(/[-.]/g, '').length <= 15 && written !== '-0'
}

function isText(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed()
}
