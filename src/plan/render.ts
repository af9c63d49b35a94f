import { WHY_NOT_APPROVED } from './approval.ts'
import type { ReferenceKind } from '../policy/policy.ts'
import { visible } from '../policy/visible.ts'
import { rowsPlanned, willAct, type Plan, type PlannedRule, type Remark } from './plan.ts'
import { WIDTH, wrap } from './wrap.ts'

/** Renders a plan to be read in a minute on a terminal of 100 columns. */
export function renderPlan(plan: Plan): string {
  const lines = [
    ...header(plan).flatMap((line) => wrap(line, '')),
    '',
    ...table(plan.rules),
    ...(plan.rules.some(({ mode }) => mode === 'report')
      ? ['* of mode report: counted, never acted on']
      : []),
    '',
    ...plan.rules.flatMap(paragraph),
    ...(plan.remarks.length === 0 ? [] : ['Findings:', ...remarkLines(plan.remarks, '  '), '']),
    ...closing(plan),
  ]
  return `${lines.join('\n')}\n`
}

function header(plan: Plan): readonly string[] {
  const at = `${plan.createdAt.slice(0, 16).replace('T', ' ')} UTC`
  return [
    plan.asOf === null
      ? `Plan of ${at} for database ${plan.database.name}`
      : `Plan as of ${plan.asOf} for database ${plan.database.name}, made ${at}: to look at, never to carry out`,
    `policies ${plan.policyDigest.slice(0, 12)}  catalog ${plan.catalogFingerprint.slice(0, 12)}  plan ${plan.digest.slice(0, 12)}`,
  ]
}

type Cells = readonly [string, ...string[]]

/** One line for each rule; numbers to the right. */
function table(rules: readonly PlannedRule[]): readonly string[] {
  const rows: readonly Cells[] = [
    ['RULE', 'TABLE', 'ACTION', 'KEEP', 'DUE', 'ALONG', 'SPARED', 'KEPT', 'NEVER'],
    ...rules.map((rule): Cells => {
      const { counts } = rule
      return [
        visible(rule.rule),
        visible(rule.table),
        rule.mode === 'report' ? `${rule.action}*` : rule.action,
        rule.keep,
        number(counts.due),
        number(rowsPlanned(rule) - counts.due),
        number(counts.held + counts.kept + counts.blocked + counts.deciding),
        number(counts.running + counts.open),
        number(counts.neverExpires + counts.implausible),
      ]
    }),
  ]
  const widths = fit(
    rows[0]?.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0))) ?? [],
  )
  return rows.map((row) =>
    clip(row.map((cell, at) => pad(cell, widths[at] ?? 0, at)).join(GAP), WIDTH),
  )
}

const GAP = '  '

/** Takes from the two names what the numbers need, so that a long name cuts no number off. */
function fit(widths: readonly number[]): readonly number[] {
  const [rule = 0, governed = 0, ...others] = widths
  const room = Math.max(
    16,
    WIDTH - others.reduce((sum, width) => sum + width, GAP.length * (widths.length - 1)),
  )
  const forRule = Math.min(rule, Math.max(Math.floor(room / 2), room - governed))
  return [forRule, Math.min(governed, room - forRule), ...others]
}

function pad(cell: string, width: number, at: number): string {
  return at < 4 ? clip(cell, width).padEnd(width) : cell.padStart(width)
}

function clip(line: string, width: number): string {
  const trimmed = line.trimEnd()
  return trimmed.length <= width ? trimmed : `${trimmed.slice(0, width - 1)}…`
}

function paragraph(rule: PlannedRule): readonly string[] {
  const { counts } = rule
  const lines = [
    ...dueLines(rule),
    ...overdueLines(rule),
    ...said(counts.held, 'due but spared: held'),
    ...said(counts.superseded, 'due, and left to another phase or rule that acts on them instead'),
    ...said(counts.kept, 'due but spared: another rule that reaches them ends later'),
    ...said(
      counts.blocked,
      rule.archive === null
        ? 'due but spared: rows that stay still refer to them, or would have to go with them'
        : 'due but spared: rows that stay still refer to them, or would have to go with them, or the archive has their key',
    ),
    ...said(counts.deciding, 'due but spared: they still decide about other records'),
    ...said(counts.running, 'kept: their period runs'),
    ...said(counts.open, 'kept: still open'),
    ...said(counts.neverExpires, 'never expire: no related row says when their period starts'),
    ...said(counts.implausible, 'never expire: their period start is not plausible'),
    ...said(counts.done, 'anonymised before'),
    ...archiveLines(rule),
    ...said(counts.outside, 'of the table are not of this record class'),
  ]
  return [
    ...wrap(`${rule.rule}: ${rule.title}${phaseOf(rule)}`, ''),
    ...wrap(
      `${rule.table}${rule.filtered ? '' : ', every row'}: ${rule.action} ${rule.keep} after the period started; today ${rule.today}, so due if it started before ${rule.firstDayNotDue}`,
      '  ',
    ),
    ...lines.flatMap((line) => wrap(line, '  ')),
    ...referenceLines(rule),
    ...rule.floors.flatMap(({ table: floored, keepAtLeast, left }) =>
      wrap(`leaves ${number(left)} rows of ${floored}; the floor is ${number(keepAtLeast)}`, '  '),
    ),
    ...maskLines(rule),
    ...remarkLines(rule.remarks, '  '),
    ...verdictLines(rule),
    '',
  ]
}

function phaseOf({ phase }: PlannedRule): string {
  return phase === null ? '' : ` (phase ${phase.number} of ${phase.of} of ${phase.rule})`
}

function archiveLines({ archive }: PlannedRule): readonly string[] {
  if (archive === null) return []
  return [
    ...said(archive.rows, `blocked before, in ${archive.table}`),
    ...said(archive.reopened, 'BLOCKED ALTHOUGH OPEN: their period is open, or runs again'),
  ]
}

function overdueLines({ overdue, keep, within }: PlannedRule): readonly string[] {
  if (overdue === null || overdue.rows === 0) return []
  return [
    `OVERDUE: ${number(overdue.rows)} should have been done ${keep} and ${within ?? ''} after the period started, the oldest ${number(overdue.days)} ${overdue.days === 1 ? 'day' : 'days'} ago`,
  ]
}

function dueLines(rule: PlannedRule): readonly string[] {
  if (rule.counts.due === 0) return ['nothing is due']
  return [
    `${number(rule.counts.due)} due${ages(rule)}`,
    ...rule.children
      .filter(({ rows }) => rows > 0)
      .map(({ table: child, action, rows }) =>
        action !== 'detach'
          ? `${number(rows)} of ${child} go along`
          : `${number(rows)} of ${child} stay, and lose their link`,
      ),
    ...dropLines(rule.walk.drops),
    `found by ${WALKED[rule.walk.kind]}: ${rule.walk.why}`,
  ]
}

function dropLines(drops: PlannedRule['walk']['drops']): readonly string[] {
  if (drops === null) return []
  const { partitions, why } = drops
  if (partitions === 0) return [`no partition is dropped: ${why}`]
  return [`partitions are dropped, ${number(partitions)} at most: ${why}`]
}

/** The proof that nothing else goes: every link to the rows of the rule, to the end of the graph. */
function referenceLines({ references }: PlannedRule): readonly string[] {
  if (references.length === 0) return []
  return [
    '  references, to the end:',
    ...references.flatMap(({ from, to, key, as, rows }) =>
      wrap(`${from} to ${to} (${key}): ${as}, ${number(rows)} ${MEANING[as]}`, '    '),
    ),
  ]
}

const MEANING: Readonly<Record<ReferenceKind, string>> = {
  with_parent: 'go along',
  detach: 'stay and lose the link',
  own_rule: 'refer to records whose period is over',
  block: 'refer to records whose period is over, and keep them',
}

const WALKED: Readonly<Record<PlannedRule['walk']['kind'], string>> = {
  heap: 'a sweep of the heap',
  index: 'a walk of the index',
  key: 'a walk of the key',
}

/** Ages and no dates: enough to see a period that counts from the wrong column. */
function ages(rule: PlannedRule): string {
  const { oldestDueMonths: oldest, medianDueMonths: median, newestDueMonths: newest } = rule
  if (oldest === null) return ''
  const others =
    median === null || newest === null || newest === oldest
      ? ''
      : `, the median ${months(median)}, the newest ${months(newest)}`
  return `, the oldest started ${months(oldest)} ago${others}`
}

function maskLines(rule: PlannedRule): readonly string[] {
  if (rule.columns.length === 0) return []
  const parts = KINDS.flatMap((kind) => {
    const names = rule.columns.filter(({ becomes }) => becomes === kind).map(({ column }) => column)
    return names.length === 0 ? [] : [`${LABELS[kind] ?? kind}: ${names.join(', ')}`]
  })
  return wrap(`columns: ${parts.join('; ')}`, '  ')
}

/** Each with its remedy below, so that a statement to run can be copied. */
function remarkLines(remarks: readonly Remark[], indent: string): readonly string[] {
  return remarks.flatMap(({ message, remedy }) => [
    ...wrap(`note: ${message}`, indent),
    ...(remedy === null ? [] : wrap(remedy, `${indent}  `)),
  ])
}

/** In this order: what goes, then what is coarser, then what is still about a person, then what stays. */
const KINDS =
  'nothing constant template random partial pattern truncate bucket round network json pseudonymised keep structural'.split(
    ' ',
  )

const LABELS: Readonly<Record<string, string>> = {
  pseudonymised: 'pseudonymised (still personal data)',
  keep: 'kept',
  structural: 'left as keys and links',
}

function verdictLines(rule: PlannedRule): readonly string[] {
  if (rule.mode === 'report') return ['  mode report: counted, never acted on']
  const refused = rule.refusal === null ? [] : [`REFUSED: ${rule.refusal.message}`]
  return [...refused, ...approvalLines(rule), ...formerLines(rule)].flatMap((line) =>
    wrap(line, '  '),
  )
}

function approvalLines({ approval }: PlannedRule): readonly string[] {
  if (approval === null) return []
  const { state, expiresAt, endsSoon } = approval
  if (state !== 'given') return [`WAITS FOR AN APPROVAL: ${WHY_NOT_APPROVED[state]}`]
  const until = expiresAt?.slice(0, 10) ?? ''
  return [
    endsSoon
      ? `APPROVED ONLY UNTIL ${until}: approve a new plan before that`
      : `approved until ${until}`,
  ]
}

/** What a shortened period adds: a slip of the pen shows here before it acts. */
function formerLines({ formerly, keep, counts }: PlannedRule): readonly string[] {
  if (formerly === null) return []
  const more = number(Math.max(0, counts.due - formerly.due))
  return [
    `PERIOD SHORTENED: ${formerly.keep} were approved, it says ${keep}: ${more} more due than the ${number(formerly.due)} of before`,
  ]
}

function closing(plan: Plan): readonly string[] {
  const acting = plan.rules.filter((rule) => willAct(rule))
  const rows = acting.reduce((sum, rule) => sum + rowsPlanned(rule), 0)
  const refused = plan.rules.filter((rule) => rule.refusal !== null).length
  const sum =
    rows === 0
      ? 'Nothing is due.'
      : `${number(rows)} rows under ${acting.length} ${acting.length === 1 ? 'rule' : 'rules'} would be acted on, children counted.`
  return [sum, ...(refused === 0 ? [] : [`${refused} refused.`])]
}

function said(count: number, what: string): readonly string[] {
  return count === 0 ? [] : [`${number(count)} ${what}`]
}

function months(count: number): string {
  const years = Math.floor(count / 12)
  const rest = count % 12
  const parts = [
    ...(years === 0 ? [] : [`${years} ${years === 1 ? 'year' : 'years'}`]),
    ...(rest === 0 && years > 0 ? [] : [`${rest} ${rest === 1 ? 'month' : 'months'}`]),
  ]
  return parts.join(' ')
}

/** Digits in groups of three, as people of all locales read them. */
function number(value: number): string {
  return String(value).replaceAll(/\B(?=(\d{3})+$)/g, ' ')
}
