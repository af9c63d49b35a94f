/** What the batches of a journal amount to, as a table that a spreadsheet opens. */
import type { Entry, TableRows } from './entry.ts'

/** One line: what one run did to one table, for one wording of a rule. */
type Line = TableRows & {
  readonly run: string
  readonly rule: string
  readonly version: string
  readonly from: string
  readonly to: string
}

/** The lines of the runs that are open. A run that ended gives its lines back and is forgotten. */
export type Summary = Map<string, Map<string, Line>>

const HEADER = ['run', 'table', 'policy', 'version', 'action', 'rows', 'from', 'to']

export const SUMMARY_HEADER = csvLine(HEADER)

/** Takes an entry in, and returns the lines that it completes. */
export function summarise(summary: Summary, entry: Entry): string {
  if (entry.type === 'run' && entry.phase === 'end') return linesOf(summary, entry.run)
  if (entry.type !== 'batch') return ''
  const { run, policy, target, action, rows, children, time } = entry
  const lines = summary.get(run) ?? new Map<string, Line>()
  summary.set(run, lines)
  for (const part of [{ target, action, rows }, ...children]) {
    const key = JSON.stringify([policy.rule, policy.sha256, part.target, part.action])
    const before = lines.get(key)
    lines.set(key, {
      run,
      rule: policy.rule,
      version: policy.sha256,
      target: part.target,
      action: part.action,
      rows: part.rows + (before?.rows ?? 0),
      from: before?.from ?? time,
      to: time,
    })
  }
  return ''
}

/** The lines of the runs that have no end. */
export function remainder(summary: Summary): string {
  return [...summary.keys()].map((run) => linesOf(summary, run)).join('')
}

function linesOf(summary: Summary, run: string): string {
  const lines = [...(summary.get(run)?.values() ?? [])]
  summary.delete(run)
  return lines
    .map(({ target, rule, version, action, rows, from, to }) =>
      csvLine([run, target, rule, version, action, String(rows), from, to]),
    )
    .join('')
}

/** RFC 4180. */
function csvLine(cells: readonly string[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`
}

/** A spreadsheet takes a cell that begins so for a formula, and a table may be called anything. */
export function csvCell(text: string): string {
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless
}
