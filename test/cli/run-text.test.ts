import { expect, test } from 'vitest'
import { renderRun } from '../../src/cli/run-text.ts'
import type { RuleOutcome } from '../../src/enforce/rule.ts'
import type { RunResult } from '../../src/enforce/run.ts'

function outcome(parts: Partial<RuleOutcome>): RuleOutcome {
  const none = {
    rows: 0,
    childRows: 0,
    batches: 0,
    dropped: 0,
    refusedRows: 0,
    left: 0,
    ended: null,
    pauses: {},
    error: null,
  }
  return { rule: 'visit', ...none, ...parts }
}

function rendered(parts: Partial<RunResult>): readonly string[] {
  const result: RunResult = {
    run: 'R',
    outcome: 'done',
    rules: [],
    refused: [],
    overdue: [],
    after: { tended: [], residue: [] },
    exit: 0,
    error: null,
    ...parts,
  }
  return renderRun(result, 'HEAD').split('\n')
}

test('a run ends with the head of the journal on a line of its own', () => {
  const lines = rendered({ rules: [outcome({ rows: 1, childRows: 2 })] })

  expect(lines).toEqual(['run R: done', '  visit: 1 row, 2 rows along', 'journal HEAD', ''])
})

test('what was done to the tables and what may still be recovered stands below what was done', () => {
  const nothing = { analyzed: false, cleared: false, vacuumed: false }
  const lines = rendered({
    after: {
      tended: [
        { ...nothing, table: 't.a', analyzed: true, vacuumed: true, why: null },
        { ...nothing, table: 't.b', why: 'the role may not' },
      ],
      residue: [
        { kind: 'dead_rows', of: 't.a', message: '3 dead rows', until: null },
        { kind: 'backups', of: null, message: 'backups', until: '2026-12-30' },
      ],
    },
  })

  expect(lines.slice(2, -2)).toEqual([
    '  t.a: vacuumed and analyzed',
    '  t.b: not analyzed: the role may not',
    '  may still be recovered from:',
    '    t.a: 3 dead rows',
    '    backups until 2026-12-30',
  ])
})

test('rows that a stopped run leaves are said to be for the next one, and not to be locked', () => {
  const rules = [outcome({ rows: 500, left: 40 })]

  expect(rendered({ outcome: 'stopped', rules })[1]).toBe(
    '  visit: 500 rows, 40 left for the next run',
  )
  expect(rendered({ outcome: 'partial', rules })[1]).toBe(
    '  visit: 500 rows, 40 left: locked by others, or refused by a constraint',
  )
})

test('rows that the pace of a rule leaves are said to be for the next run, with the cause and the pauses', () => {
  const rules = [
    outcome({ rows: 500, left: 40, ended: 'window', pauses: { lock_waiters: 2, window: 1 } }),
  ]

  expect(rendered({ outcome: 'partial', rules })[1]).toBe(
    '  visit: 500 rows, 40 left for the next run: its window has closed, paused: lock_waiters 2',
  )
})

test('only a run that is done says that nothing was due', () => {
  expect(rendered({})).toContain('  nothing was due')
  expect(rendered({ outcome: 'stopped' })).toContain('  stopped before anything was done')
  for (const text of rendered({ outcome: 'failed' })) expect(text).not.toContain('nothing was')
})

test('a run says of each rule that was late how much is left', () => {
  const late = { rule: 'visit', before: 3, after: 0, days: 0 }
  const overdue = [late, { ...late, rule: 'login', after: 2, days: 41 }, { ...late, before: 0 }]

  expect(rendered({ overdue }).slice(1, -2)).toEqual([
    '  visit: 3 overdue before the run, none after it',
    '  login: 3 overdue before the run, 2 after it, the oldest for 41 days',
  ])
})
