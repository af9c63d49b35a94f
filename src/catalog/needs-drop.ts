/** The one right that a run needs to drop partitions: to call a function of their owner's. */
import { printTable } from '../base/names.ts'
import type { Table } from './catalog.ts'
import type { FittedRule } from './fitted.ts'
import { DROPS } from './inspect-dropping.ts'
import { quoted } from './needs.ts'

/**
 * A function for each table that may lose partitions. Only an owner may drop a table, and a role that
 * owns governed tables could change everything about them: so the owner's function does it, which
 * drops nothing but a partition of this table that takes a range of its rows.
 */
export function renderDropFunctions(rules: readonly FittedRule[], role: string): string {
  const dropping = rules.filter(
    ({ rule, table }) => rule.partitions === 'drop' && table.kind === 'partitioned table',
  )
  const tables = new Map(dropping.map(({ table }) => [printTable(table), table]))
  return [...tables]
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([, table]) => dropFunction(table, role))
    .join('\n')
}

function dropFunction(table: Table, role: string): string {
  const name = `${quoted(table.schema)}.${quoted(`${DROPS}${table.name}`)}`
  const whole = literal(`${quoted(table.schema)}.${quoted(table.name)}`)
  return `-- to drop partitions of ${quoted(table.schema)}.${quoted(table.name)} of which every row is due (batch.partitions: drop)
create or replace function ${name}(partition oid) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $drop$
begin
  perform from pg_class
  where oid = partition and relkind = 'r' and relispartition
    and pg_partition_root(oid) = ${whole}::regclass
    and pg_get_expr(relpartbound, oid) <> 'DEFAULT';
  if not found then
    raise exception 'no partition that may be dropped' using errcode = 'insufficient_privilege';
  end if;
  execute format('drop table %s', partition::regclass);
end
$drop$;
do $owner$
begin
  execute format(
    'alter function %s(oid) owner to %s', ${literal(name)},
    (select relowner::regrole from pg_class where oid = ${whole}::regclass)
  );
end
$owner$;
revoke all on function ${name}(oid) from public;
grant execute on function ${name}(oid) to ${quoted(role)};
`
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
