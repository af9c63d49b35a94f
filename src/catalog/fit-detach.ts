/** Whether the rows of a table can lose a link, and stay what they are without it. */
import { printTable, sameTable, type TableName } from '../base/names.ts'
import { columnsDeciding, columnsOfLinks } from '../policy/deciding.ts'
import { columnsRead, type PolicySet, type Rule } from '../policy/policy.ts'
import { columnOf, type Table } from './catalog.ts'
import type { Referral } from './fitted.ts'
import { isGovernable, type Report } from './fit-table.ts'

/** A column by which something is decided, and by what. */
export type Decided = {
  readonly table: TableName
  readonly column: string
  readonly role: string
  /** It is the link itself, which a rule may cut. */
  readonly isLink: boolean
}

/** Every column by which a rule or a hold of the set decides. */
export function decidedBy({
  rules,
  holds,
}: Pick<PolicySet, 'rules' | 'holds'>): readonly Decided[] {
  const of = (table: TableName, columns: readonly string[], role: string, isLink = false) =>
    columns.map((column) => ({ table, column, role, isLink }))
  return [
    ...rules.flatMap((rule) => [
      ...columnsDeciding(rule).flatMap(([table, columns, role]) =>
        of(table, columns, `${role} of rule ${rule.id}`),
      ),
      ...columnsOfLinks(rule).flatMap(([table, columns, role]) =>
        of(table, columns, `${role} of rule ${rule.id}`, role === 'a logical link'),
      ),
      ...of(rule.table, rule.subject, `the subject of rule ${rule.id}`),
    ]),
    ...holds.flatMap(({ table, covers, while: condition }) => {
      const role = `read by the hold source ${printTable(table)}`
      return [
        ...of(table, columnsRead(condition), role),
        ...covers.flatMap((cover) => [
          ...of(
            table,
            cover.links.map(({ source }) => source),
            role,
          ),
          ...of(
            cover.table,
            cover.links.flatMap(({ own }) => own ?? []),
            role,
          ),
        ]),
      ]
    }),
  ]
}

type DetachContext = {
  readonly rule: Rule
  readonly table: Table
  readonly key: Referral
  readonly decided: readonly Decided[]
  readonly path: readonly (string | number)[]
  readonly report: Report
}

/** Refuses what could never be set to null, or would change more than the link; true if it may be. */
export function fitDetach({ rule, table, key, decided, path, report }: DetachContext): boolean {
  if (!isGovernable(table, rule, path, report)) return false
  const why = key.fromColumns.flatMap((name) => {
    const reason = reasonToKeep(table, key, name, decided)
    return reason === undefined ? [] : [`${name} ${reason}`]
  })
  if (why.length === 0) return true
  report(
    path,
    'detach_impossible',
    `${printTable(table)} cannot let go of ${printTable(key.to)} (${key.name}): ${why.join('; ')}`,
    'write `block` (the record stays), `with_parent` (the rows go along) or `own_rule`',
  )
  return false
}

function reasonToKeep(
  table: Table,
  key: Referral,
  name: string,
  decided: readonly Decided[],
): string | undefined {
  const column = columnOf(table, name)
  if (column === undefined) return undefined
  if (table.keys.some((each) => each.primary && each.columns.includes(name))) {
    return 'is part of the key of the table'
  }
  if (column.generated) return 'is generated'
  if (column.notNull) return 'is not null'
  if (table.keys.some((each) => each.nullsEqual && each.columns.includes(name))) {
    return 'is unique, and nulls count as the same'
  }
  if (table.inbound.some((each) => each.toColumns.includes(name))) {
    return 'is referred to by other tables'
  }
  const other = table.outbound.find(
    (each) =>
      each.name !== key.name && each.fromColumns.includes(name) && !sameTable(each.to, key.to),
  )
  if (other !== undefined) return `is part of the foreign key ${other.name} too`
  const deciding = decided.find(
    (each) => each.column === name && sameTable(each.table, table) && !(each.isLink && key.logical),
  )
  return deciding === undefined ? undefined : `is ${deciding.role}`
}
