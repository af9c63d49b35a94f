import type { RunResult } from '../enforce/run.ts'
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
  return [`run ${result.run}: ${result.outcome}`, ...lines, `journal ${head}`, ''].join('\n')
}

function ruleText(rule: RuleOutcome, stopped: boolean): string {
  const why = stopped ? 'for the next run' : 'locked by others, or refused by a constraint'
  return [
    `${rule.rule}: ${rowCount(rule.rows)}`,
    ...(rule.childRows > 0 ? [`${rowCount(rule.childRows)} along`] : []),
    ...(rule.left > 0 ? [`${rule.left} left${stopped ? '' : ':'} ${why}`] : []),
    ...(rule.error === null ? [] : [`stopped: ${rule.error.message}`]),
  ].join(', ')
}

function overdueText({ rule, before, after, days }: RunResult['overdue'][number]): string {
  const left = after === 0 ? 'none after it' : `${after} after it, the oldest for ${days} days`
  return `${rule}: ${before} overdue before the run, ${left}`
}

function rowCount(rows: number): string {
  return `${rows} ${rows === 1 ? 'row' : 'rows'}`
}
