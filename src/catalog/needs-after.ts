/** What the upkeep of tables after a run needs: never asked of a rule, which acts without it too. */
import { printTable } from '../base/names.ts'
import type { Table } from './catalog.ts'
import type { FittedRule } from './fitted.ts'
import { MAINTAIN_SINCE } from './inspect-upkeep.ts'
import { quoted } from './needs.ts'

/** The tables in which the rule leaves dead rows; `along`: also those whose rows went or lost a link. */
export function tablesTouched(
  { table, children, detached }: FittedRule,
  along: boolean,
): readonly Table[] {
  return along ? [table, ...[...children, ...detached].map((child) => child.table)] : [table]
}

/** Grants for the upkeep of every table that rules may touch, where the server has such a right. */
export function renderUpkeepGrants(
  rules: readonly FittedRule[],
  { role, serverVersion }: { readonly role: string; readonly serverVersion: number },
): string {
  const wanted = rules.filter(({ rule: { after } }) => after.analyze || after.vacuum)
  const tables = wanted
    .flatMap((fitted) => tablesTouched(fitted, true))
    .flatMap(({ schema, name, leaves }) => [{ schema, name }, ...leaves])
  const named = new Map(tables.map((table) => [printTable(table), table]))
  if (named.size === 0) return ''
  const on = [...named]
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([, { schema, name }]) => `${quoted(schema)}.${quoted(name)}`)
  if (serverVersion < MAINTAIN_SINCE) {
    return [
      '-- after a run: before PostgreSQL 17 nobody but its owner may analyze a table. Until somebody does,',
      '-- statistics hold values of rows that are gone. To be run by the owner after runs that acted:',
      ...on.map((table) => `--   analyze ${table};`),
      '',
    ].join('\n')
  }
  return [
    '-- after a run: to make the statistics of touched tables again, which hold values of rows that are gone',
    ...on.map((table) => `grant maintain on table ${table} to ${quoted(role)};`),
    '',
  ].join('\n')
}
