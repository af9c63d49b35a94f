/** What the statements of a rule set off in the database beside what they say: triggers, replication. */
import { didYouMean } from '../base/nearest.ts'
import { printName, printTable, sameTable } from '../base/names.ts'
import { takesAway, type Rule, type TriggerName } from '../policy/policy.ts'
import type { Table, TableTrigger } from './catalog.ts'
import type { FiredTrigger, FittedRule } from './fitted.ts'
import type { Report } from './fit-table.ts'
import { firedBy, type Firing } from './trigger.ts'

type Acted = Pick<FittedRule, 'rule' | 'table' | 'masks' | 'children' | 'detached'>

type Acting = Firing & { readonly table: Table; readonly path: readonly string[] }

/**
 * Finds the triggers that the rule would fire, and refuses each that the policy does not name: it
 * may copy what is destroyed, or put it back, and nothing in its source proves that it does not.
 */
export function fitSetOff(acted: Acted, report: Report): readonly FiredTrigger[] {
  const { rule } = acted
  const acting = statementsOf(acted)
  for (const each of acting) reportUnreplicated(each, report)
  reportMissing(rule, acting, report)
  const fired = acting.flatMap((each) =>
    firedBy(each.table, each).map((trigger) => ({ ...each, trigger })),
  )
  const forgotten = fired.filter(({ table, trigger }) => !isAcknowledged(rule, table, trigger))
  const remedy = lineToAdd(
    rule,
    forgotten.map(({ table, trigger }) => ({ table, name: trigger.name })),
  )
  for (const { table, trigger, path } of forgotten) {
    const said = `trigger ${printName(trigger.name)} of ${printTable(table)} would fire: ${describeTrigger(trigger)}`
    report(path, 'trigger_unacknowledged', said, remedy)
  }
  return fired.map(({ table, trigger, event }) => ({ table, trigger, event }))
}

/** The statements that write rows, as triggers and publications see them. */
function statementsOf({ rule, table, masks, children, detached }: Acted): readonly Acting[] {
  return [
    takesAway(rule)
      ? { table, path: ['table'], event: 'delete', columns: [] }
      : {
          table,
          path: ['table'],
          event: 'update',
          columns: masks.map(({ column }) => column.name),
        },
    ...children.map((child): Acting => ({
      table: child.table,
      path: ['references', printTable(child.table)],
      event: 'delete',
      columns: [],
    })),
    ...detached.map((each): Acting => ({
      table: each.table,
      path: ['references', printTable(each.table)],
      event: 'update',
      columns: each.foreignKeys.flatMap(({ fromColumns }) => fromColumns),
    })),
  ]
}

/** `after delete of each row, crm.copy_old(), which may write elsewhere: insert into crm.history`. */
export function describeTrigger(trigger: TableTrigger): string {
  const { timing, events, columns, level, writes } = trigger
  const when = `${timing} ${events.join(' or ')}`
  const of = columns.length === 0 ? '' : ` of ${columns.join(', ')}`
  const each = level === 'row' ? 'for each row' : 'for each statement'
  const where = writes.length === 0 ? '' : `, which may write elsewhere: ${writes.join(', ')}`
  return `${when}${of}, ${each}, it calls ${printTable(trigger.function)}()${where}`
}

function isAcknowledged(rule: Rule, table: Table, { name }: TableTrigger): boolean {
  return rule.triggers.some((named) => named.name === name && sameTable(named.table, table))
}

function reportMissing(rule: Rule, acting: readonly Acting[], report: Report): void {
  for (const [index, { table: name, name: trigger }] of rule.triggers.entries()) {
    const path = ['triggers', 'acknowledge', index]
    const table = acting.find((each) => sameTable(each.table, name))?.table
    if (table === undefined) {
      report(
        path,
        'trigger_missing',
        `the rule does not act on ${printTable(name)}`,
        'remove it: only triggers of the governed table and of those that go along fire',
      )
    } else if (!table.triggers.some((each) => each.name === trigger)) {
      const names = table.triggers.map((each) => each.name)
      report(
        path,
        'trigger_missing',
        `${printTable(table)} has no enabled trigger ${trigger}`,
        didYouMean(trigger, names) ?? 'remove it',
      )
    }
  }
}

function lineToAdd(rule: Rule, forgotten: readonly TriggerName[]): string {
  const names = [...rule.triggers, ...forgotten].map(({ table, name }) => {
    const own = sameTable(table, rule.table)
    const written = own ? printName(name) : `${printTable(table)}.${printName(name)}`
    return /^[\w.]+$/.test(written) ? written : JSON.stringify(written)
  })
  return `read the function; if that may happen, write \`triggers: { acknowledge: [${names.join(', ')}] }\``
}

function reportUnreplicated({ table, event, path }: Acting, report: Report): void {
  const publications = table.unreplicated[event]
  if (publications.length === 0) return
  const printed = printTable(table)
  report(
    path,
    'replica_identity_missing',
    `PostgreSQL would refuse the ${event}: ${printed} is published by ${publications.join(', ')} and has no replica identity`,
    `alter table ${printed} replica identity full, or give it a primary key`,
  )
}
