import type { Problem } from '../base/problem.ts'
import type { Fault, PathPart } from './fault.ts'
import { visible } from './visible.ts'

/** A file that problems point into. */
export type PolicyText = {
  readonly file: string
  /** Without a byte order mark. */
  readonly text: string
  /** Offset of the first character of each line. */
  readonly lines: readonly number[]
}

/** A stretch of a file, as offsets; the end is not part of it. */
export type Span = { readonly start: number; readonly end: number }

/** Longest stretch of a source line in a frame: what fits beside the line number at width 100. */
const FRAME_WIDTH = 90

export function policyText(file: string, text: string): PolicyText {
  const lines = [0]
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) lines.push(at + 1)
  return { file, text, lines }
}

/** Makes the problem that a fault is at `span`, with the source line and a marker below it. */
export function problemAt(
  source: PolicyText,
  span: Span,
  path: readonly PathPart[],
  fault: Pick<Fault, 'code' | 'message' | 'remedy'>,
): Problem {
  const line = lineOf(source, span.start)
  const start = source.lines[line] ?? 0
  const column = width(source.text.slice(start, span.start)) + 1
  return {
    code: fault.code,
    at: `${source.file}:${line + 1}:${column}`,
    path: printPath(path),
    message: visible(fault.message),
    ...(fault.remedy === undefined ? {} : { remedy: visible(fault.remedy) }),
    frame: frameOf(source, line, span, fault.remedy),
  }
}

/** Prints a path as `rules[1].keep`, with quotes around keys that are no plain words. */
export function printPath(path: readonly PathPart[]): string {
  return path
    .map((part, index) => {
      if (typeof part === 'number') return `[${part}]`
      if (!/^[\w-]{1,63}$/.test(part)) return `[${visible(JSON.stringify(part.slice(0, 130)))}]`
      return index === 0 ? part : `.${part}`
    })
    .join('')
}

function lineOf(source: PolicyText, offset: number): number {
  let low = 0
  let high = source.lines.length - 1
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if ((source.lines[middle] ?? 0) <= offset) low = middle
    else high = middle - 1
  }
  return low
}

/** Shows the line around the span; escapes are made first, so that the marker stands below its text. */
function frameOf(source: PolicyText, line: number, span: Span, remedy: string | undefined): string {
  const from = source.lines[line] ?? 0
  const next = source.lines[line + 1] ?? source.text.length + 1
  const to = Math.max(from, next - 1 - (source.text[next - 2] === '\r' ? 1 : 0))
  const end = Math.min(Math.max(span.end, span.start), to)
  // Half of the frame may stand before the place; a line of a megabyte is not copied for it.
  const cut = Math.max(from, span.start - FRAME_WIDTH / 2)
  const before = `${cut > from ? '…' : ''}${shown(source.text.slice(cut, span.start))}`
  const marked = shown(source.text.slice(span.start, Math.min(end, span.start + FRAME_WIDTH)))
  const room = Math.max(0, FRAME_WIDTH - before.length - marked.length)
  const after = shown(source.text.slice(end, Math.min(to, end + room)))
  const clipped = end + room < to || span.start + FRAME_WIDTH < end ? '…' : ''
  const number = String(line + 1).padStart(5)
  const marker = '^'.repeat(Math.max(1, width(marked)))
  const advice = remedy === undefined ? '' : ` ${visible(remedy)}`
  return (
    `${number} | ${before}${marked}${after}${clipped}\n` +
    `${' '.repeat(5)} | ${' '.repeat(width(before))}${marker}${advice}`
  )
}

/** Counts code points: what editors call columns, and nearly what terminals show. */
function width(text: string): number {
  return Array.from(text).length
}

function shown(text: string): string {
  return visible(text.replaceAll('\t', ' '))
}
