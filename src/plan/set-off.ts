import { printName, printTable } from '../base/names.ts'
import { describeTrigger } from '../catalog/fit-set-off.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import type { Remark } from './plan.ts'

/**
 * What the statements of a rule set off in the database: its triggers, and the functions of the
 * application that PostgreSQL calls by itself. Both run as the program's role.
 */
export function setOffRemarks({
  table,
  children,
  detached,
  triggers,
}: FittedRule): readonly Remark[] {
  const acted = [table, ...[...children, ...detached].map((each) => each.table)]
  return [
    ...triggers.map(({ table: on, trigger }) => ({
      code: 'trigger_fires',
      message: `trigger ${printName(trigger.name)} of ${printTable(on)} fires: ${describeTrigger(trigger)}`,
      remedy:
        trigger.writes.length === 0
          ? null
          : 'old values may stay where it writes: look there, and give that table a rule; unless the function is security definer, the role of the program needs the right to write there',
    })),
    ...acted.flatMap((on) =>
      on.functions.map((called) => ({
        code: 'function_called',
        message: `${called.place} of ${printTable(on)} calls ${printTable(called)}()`,
        remedy: null,
      })),
    ),
  ]
}
