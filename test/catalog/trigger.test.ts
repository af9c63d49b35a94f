import { expect, test } from 'vitest'
import { readTrigger, writesIn } from '../../src/catalog/trigger.ts'

test.for([
  ['new.updated_at := now(); return new;', []],
  ["if tg_op = 'UPDATE' then return new; end if;", []],
  ['-- insert into crm.history\n/* delete from x */ return old;', []],
  ['insert into crm.history select old.*; return old;', ['insert into crm.history']],
  ['INSERT\n  INTO "Crm"."His tory" values (1);', ['insert into "Crm"."His tory"']],
  ['update only crm.total t set n = n - 1;', ['update only crm.total']],
  ['insert into a values (1) on conflict (id) do update set n = 1;', ['insert into a']],
  ['select 1 from x for update of x; select 1 from x for no key update of x;', []],
  ['delete from crm.cache where id = old.id;', ['delete from crm.cache']],
  ["copy crm.customer to '/tmp/x';", ['copy crm.customer']],
  ["execute 'insert into h values (1)';", ['execute']],
  ["perform crm.forget(old.id); perform pg_notify('x', old.email);", ['perform', 'pg_notify']],
] as const)('what a trigger function may write is read from its source: %s', ([source, writes]) => {
  expect(writesIn(source)).toEqual(writes)
})

test.for([
  ['pg_catalog', 'internal', []],
  ['crm', 'c', ['whatever its c code does']],
  ['crm', 'plpgsql', ['insert into crm.history']],
] as const)(
  'what PostgreSQL itself brings writes nothing elsewhere: %s, %s',
  ([schema, language, writes]) => {
    const trigger = readTrigger({
      name: 'fulltext',
      level: 'row',
      timing: 'before',
      events: ['update'],
      columns: [],
      function: { schema, name: 'tsvector_update_trigger' },
      language,
      source: 'insert into crm.history select old.*',
    })

    expect(trigger.writes).toEqual(writes)
  },
)
