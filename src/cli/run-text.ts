import { tell } from '../base/errors.ts'
import type { AfterRun, Tended } from '../enforce/after.ts'
import type { Residue } from '../enforce/residue.ts'
import type { RunResult } from '../enforce/run.ts'
import type { Cause } from '../enforce/pace.ts'
import type { RuleOutcome } from '../enforce/rule.ts'

/** What a run did, for people. `head` is the journal's after it, as `journal verify --expect` takes it. */
export function renderRun(result: RunResult, head: string): string {
  const stopped = result.outcome === 'stopped'
  const done = result.rules.map((rule) => `  ${ruleText(rule, stopped)}`)
  const refused = result.refused.map(({ rule, message }) => `  ${rule}: refused: ${message}`)
  const overdue = result.overdue
    .filter(({ before }) => before > 0)
    .map((each) => `  ${overdueText(each)}`)
  const lines = [...done, ...refused, ...overdue]
  if (lines.length === 0 && stopped) lines.push('  stopped before anything was done')
  if (lines.length === 0 && result.outcome === 'done') lines.push('  nothing was due')
  return [
    `run ${result.run}: ${result.outcome}`,
    ...lines,
    ...afterText(result.after),
    `journal ${head}`,
    '',
  ].join('\n')
}

/** What was done to the tables, and what may be left of the rows: nothing of a run that touched none. */
function afterText({ tended, residue }: AfterRun): readonly string[] {
  if (tended.length === 0) return []
  return [
    ...tended.map((each) => `  ${tendedText(each)}`),
    ...(residue === null
      ? ['  what may still be recovered could not be read']
      : ['  may still be recovered from:', ...residue.map((each) => `    ${residueText(each)}`)]),
  ]
}

function tendedText({ table, analyzed, vacuumed, why }: Tended): string {
  const done = [...(vacuumed ? ['vacuumed'] : []), ...(analyzed ? ['analyzed'] : [])]
  const what = done.length === 0 ? 'not analyzed' : done.join(' and ')
  return `${table}: ${what}${why === null ? '' : `: ${why}`}`
}

function residueText({ of, message, until }: Residue): string {
  const subject = of === null ? '' : `${of}: `
  return `${subject}${message}${until === null ? '' : ` until ${until}`}`
}

/** Why rows are left, for each cause that ends a rule. */
const ENDED: Readonly<Record<Cause, string>> = {
  window: 'its window has closed',
  max_duration: 'its time was over',
  replica_lag: 'a replica stayed behind',
  replicas_hidden: 'the role may not see how far the replicas are',
  slot_wal: 'a replication slot retains too much log',
  lock_waiters: 'too many sessions waited for locks',
  archiver: 'the server cannot archive its log',
  wal: 'the server keeps too much log',
  vacuum_behind: 'vacuum is behind',
  dead_rows: 'autovacuum has to come first',
  slow_batch: 'batches took too long',
}

function whyLeft({ ended }: RuleOutcome, stopped: boolean): string {
  if (stopped) return ' for the next run'
  if (ended !== null) return ` for the next run: ${ENDED[ended]}`
  return ': locked by others, or refused by a constraint'
}

function ruleText(rule: RuleOutcome, stopped: boolean): string {
  return [
    `${rule.rule}: ${rowCount(rule.rows)}`,
    ...(rule.childRows > 0 ? [`${rowCount(rule.childRows)} along`] : []),
    ...(rule.dropped > 0 ? [`${rule.dropped} whole partitions dropped`] : []),
    ...(rule.left > 0 ? [`${rule.left} left${whyLeft(rule, stopped)}`] : []),
    ...pausesText(rule),
    ...(rule.error === null ? [] : [`stopped: ${rule.error.message}${remedyOf(rule.error)}`]),
  ].join(', ')
}

function remedyOf(error: Error): string {
  const { remedy } = tell(error)
  return remedy === undefined ? '' : ` (${remedy})`
}

function pausesText({ pauses }: RuleOutcome): readonly string[] {
  const causes = Object.entries(pauses).filter(
    ([cause]) => cause !== 'window' && cause !== 'max_duration',
  )
  if (causes.length === 0) return []
  return [`paused: ${causes.map(([cause, times]) => `${cause} ${times}`).join(', ')}`]
}

function overdueText({ rule, before, after, days }: RunResult['overdue'][number]): string {
  const left = after === 0 ? 'none after it' : `${after} after it, the oldest for ${days} days`
  return `${rule}: ${before} overdue before the run, ${left}`
}

function rowCount(rows: number): string {
  return `${rows} ${rows === 1 ? 'row' : 'rows'}`
}
