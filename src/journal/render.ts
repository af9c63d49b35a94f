/** The journal for people: tables and reports that fit a terminal of 100 columns. */
import { parseEntry, type Entry, type TableRows } from './entry.ts'
import { printTreeHead } from './merkle.ts'
import type { StoredEntry } from './reader.ts'
import type { AnchorReport, Finding, Remark, Verdict, VerifyReport } from './verify.ts'

/** What is known of a signature: null means that there was no key to check it with. */
export type ShownEntry = { readonly stored: StoredEntry; readonly signed: boolean | null }

type Line = {
  readonly seq: string
  readonly time: string
  readonly type: string
  readonly about: string
  readonly rows: string
}

const WIDTH = 100
const GAP = '  '
const HEADER: Line = { seq: 'seq', time: 'time', type: 'type', about: 'about', rows: 'rows' }

/** Renders one line per entry: number, time, type, what it is about, rows acted on. */
export function renderList(entries: readonly StoredEntry[]): string {
  const lines = [HEADER, ...entries.map(lineOf)]
  const widest = (key: keyof Line) => Math.max(...lines.map((line) => line[key].length))
  const [seq, time, type, rows] = [widest('seq'), widest('time'), widest('type'), widest('rows')]
  const about = Math.min(widest('about'), WIDTH - seq - time - type - rows - 4 * GAP.length)
  return lines
    .map((line) =>
      [
        line.seq.padStart(seq),
        line.time.padEnd(time),
        line.type.padEnd(type),
        fit(line.about, about),
        line.rows.padStart(rows),
      ].join(GAP),
    )
    .map((line) => `${line.trimEnd()}\n`)
    .join('')
}

/** Renders one entry: its JSON, spread over lines, then its leaf hash and what its signature is worth. */
export function renderEntry({ stored, signed }: ShownEntry): string {
  const { entry, fault } = parseEntry(stored.body)
  const body =
    entry === undefined
      ? `entry ${stored.seq} ${fault}`
      : JSON.stringify(JSON.parse(stored.body.toString()), null, 2)
  const lines = body.split('\n').map(visible)
  const verdict = signed === null ? 'not checked' : signed ? 'valid' : 'NOT VALID'
  return [
    ...lines,
    `leaf hash  ${stored.leafHash.toString('base64')}`,
    `signature  ${verdict}`,
    '',
  ].join('\n')
}

/** Renders what `verify` found: the verdict with the first bad entry, then everything else. */
export function renderReport(report: VerifyReport): string {
  const { findings, findingCount, remarks, remarkCount, head, expected } = report
  return [
    VERDICT[report.verdict],
    ...findings.map((finding) => noted('finding', finding)),
    ...more(findingCount - findings.length, 'findings'),
    ...remarks.map((remark) => noted('remark', remark)),
    ...more(remarkCount - remarks.length, 'remarks'),
    `journal   ${report.origin ?? '(unknown: entry 0 cannot be read)'}`,
    `head      ${printTreeHead(head)}`,
    `expected  ${expected === null ? '(nothing)' : printTreeHead(expected)}`,
    ...anchorLine(report),
    `key       ${KEY[report.key ?? 'none']}`,
    '',
  ]
    .map(visible)
    .join('\n')
}

/** Renders the report for programs. */
export function renderReportJson(report: VerifyReport): string {
  const { verdict, origin, head, expected, key, findings, findingCount } = report
  const json = {
    schema_version: 1,
    verdict,
    origin,
    size: head.size,
    root: head.root.toString('base64'),
    expected:
      expected === null ? null : { size: expected.size, root: expected.root.toString('base64') },
    key,
    findings,
    finding_count: findingCount,
    remarks: report.remarks,
    remark_count: report.remarkCount,
    anchors: report.anchors === undefined ? null : anchorsJson(report.anchors),
  }
  return `${JSON.stringify(json, null, 2)}\n`
}

function anchorsJson({ count, newest, newestAt }: AnchorReport) {
  if (newest === null) return { count, newest: null, newest_at: newestAt }
  const { size, root, where } = newest
  return { count, newest: { size, root: root.toString('base64'), where }, newest_at: newestAt }
}

const VERDICT: Readonly<Record<Verdict, string>> = {
  verified: 'verified: the journal is whole and unchanged up to the newest head kept elsewhere',
  stale: 'stale: no fault found, but the newest head kept elsewhere is older than was asked for',
  unanchored:
    'unanchored: no fault found, but without --anchor or --expect SIZE:ROOT nothing shows that no entry was cut off',
  tampered: 'TAMPERED: the journal is not as it was written',
}

const KEY = {
  given: 'the one given',
  journal: 'the one that the journal names itself; --trust-key takes one kept elsewhere',
  none: '(none: entry 0 cannot be read)',
} as const

function anchorLine({ anchors }: VerifyReport): readonly string[] {
  if (anchors === undefined) return []
  const { count, newest, newestAt } = anchors
  const which = newest === null ? '' : `, the newest ${printTreeHead(newest)} in ${newest.where}`
  return [`anchors   ${count}${which}${newestAt === null ? '' : `, seen ${newestAt}`}`]
}

function noted(kind: string, { code, seq, message }: Finding | Remark): string {
  return `${kind.padEnd(10)}entry ${seq}: ${code}: ${message}`
}

function more(count: number, what: string): readonly string[] {
  return count === 0 ? [] : [`          and ${count} more ${what}`]
}

function lineOf(stored: StoredEntry): Line {
  const { entry, fault } = parseEntry(stored.body)
  const seq = String(stored.seq)
  if (entry === undefined) return { seq, time: '', type: '?', about: fault, rows: '' }
  // To the second: microseconds are for `journal show`.
  const time = `${entry.time.slice(0, 19)}Z`
  return { seq, time, type: typeOf(entry), about: visible(aboutOf(entry)), rows: rowsOf(entry) }
}

function typeOf(entry: Entry): string {
  return entry.type === 'run' ? `run ${entry.phase}` : entry.type
}

function aboutOf(entry: Entry): string {
  switch (entry.type) {
    case 'genesis':
      return entry.origin
    case 'policy': {
      const { rule, action, target, count, unit } = entry
      return `${rule}: ${action} ${target} after ${count} ${unit}${count === 1 ? '' : 's'}`
    }
    case 'approval':
      return `${entry.rule}: ${entry.phase} ${shortened(entry.approval)}`
    case 'run':
      return `${shortened(entry.run)} ${entry.phase === 'start' ? entry.trigger : entry.outcome}`
    case 'batch':
      return `${shortened(entry.run)} ${entry.policy.rule}: ${entry.action} ${entry.target}`
    case 'hold': {
      const { phase, hold, scope, target } = entry
      return `hold ${hold} ${phase}: ${scope}${target === null ? '' : ` ${target}`}`
    }
    case 'keys':
      return `${entry.use} key ${entry.use === 'evidence' ? entry.key : (entry.key.split('+')[1] ?? '')}`
    case 'heartbeat':
      return ''
    case 'evidence-pruned':
      return `of ${entry.batches} batches, entries ${entry.from} to ${entry.to}`
    case 'archived':
      return `${entry.entries} of the entries ${entry.from} to ${entry.to}`
    case 'evidence-key-destroyed':
      return entry.key
    case 'recovered':
      return `${entry.why}: came back with ${entry.size} entries, ${entry.entries} appended again`
    default:
      return entry satisfies never
  }
}

/** Rows acted on, children included. */
function rowsOf(entry: Entry): string {
  if (entry.type === 'batch') return String(entry.rows + sum(entry.children))
  return entry.type === 'run' && entry.phase === 'end' ? String(sum(entry.totals)) : ''
}

function sum(rows: readonly TableRows[]): number {
  return rows.reduce((total, part) => total + part.rows, 0)
}

/** Enough of a run's id to tell it from its neighbours. */
function shortened(run: string): string {
  return run.slice(0, 8)
}

function fit(text: string, width: number): string {
  if (text.length <= width) return text.padEnd(width)
  // Half of a surrogate pair is no letter.
  const cut = text.slice(0, width - 1).replace(/[\ud800-\udbff]$/, '')
  return `${cut}…`.padEnd(width)
}

/** Spells out what could move the cursor or hide text: a table may be called anything. */
function visible(text: string): string {
  return text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, (letter) => {
    const code = letter.codePointAt(0) ?? 0
    return `\\u{${code.toString(16)}}`
  })
}
