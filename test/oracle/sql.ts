/** A world as SQL: its tables and rows, and their keys as the program tells them. */
import { printDay, secondsOf } from './calendar.ts'
import type { Live } from './state.ts'
import type { Link, Moment, MomentColumn, Order, Row, World, WorldTable } from './world.ts'

/** What makes the tables in a schema of their own, and fills them. */
export function schemaOf(world: World, schema: string): string {
  const tables = world.tables.map((table, at) => createTable(world, schema, table, at))
  const keys = world.tables.flatMap((table, at) => foreignKeys(world, schema, table, at))
  const rows = world.rows.map((all, at) => insertRows(world, schema, at, all))
  // Rows first: circles of rows are fine by a key that comes after them.
  return [`create schema ${schema}`, ...tables, ...rows, ...keys].join(';\n')
}

/** What persons order to keep, as a keeper with SQL alone would place it. */
export function ordersOf(world: World, schema: string, ruleId: (id: string) => string): string {
  return world.orders.map((order) => placeHold(world, schema, order, ruleId)).join(';\n')
}

/** The columns of a key, in the order of the key. */
export function keyColumns({ key }: WorldTable): readonly string[] {
  return key === 'pair' ? ['a', 'b'] : ['id']
}

/** The columns of a link. */
export function linkColumns(world: World, link: Link, at: number): readonly string[] {
  return keyColumns(tableOf(world, link.to)).map((column) => `up${at}_${column}`)
}

/** A key as text, one part for each column. */
export function keyOf({ key }: WorldTable, id: number): readonly string[] {
  switch (key) {
    case 'int':
      return [String(id)]
    case 'uuid':
      return [`00000000-0000-4000-8000-${String(id).padStart(12, '0')}`]
    case 'text':
      return [`k ${id}`]
    case 'pair':
      return [String(id % 3), `k ${id}`]
    default:
      return key satisfies never
  }
}

function tableOf(world: World, at: number): WorldTable {
  const table = world.tables[at]
  if (table === undefined) throw new Error(`there is no t${at}`)
  return table
}

const KEY_TYPES = { int: ['int'], uuid: ['uuid'], text: ['text'], pair: ['int', 'text'] } as const

const MOMENT_TYPES: Readonly<Record<MomentColumn['type'], string>> = {
  date: 'date',
  timestamp: 'timestamp',
  timestamptz: 'timestamptz',
  seconds: 'bigint',
  milliseconds: 'bigint',
  text: 'text',
  uuid7: 'uuid',
}

function createTable(world: World, schema: string, table: WorldTable, at: number): string {
  const key = keyColumns(table)
  const columns = [
    ...key.map((column, part) => `${column} ${KEY_TYPES[table.key][part] ?? ''} not null`),
    'name text',
    'state text',
    'n int',
    'who text',
    'gone boolean',
    ...table.links.flatMap((link, number) => {
      const types = KEY_TYPES[tableOf(world, link.to).key]
      const required = link.required ? ' not null' : ''
      return linkColumns(world, link, number).map(
        (column, part) => `${column} ${types[part] ?? ''}${required}`,
      )
    }),
    ...table.moments.map(({ type }, number) => `at${number} ${MOMENT_TYPES[type]}`),
  ]
  return `create table ${schema}.t${at} (${columns.join(', ')}, primary key (${key.join(', ')}))`
}

function foreignKeys(
  world: World,
  schema: string,
  { links }: WorldTable,
  at: number,
): readonly string[] {
  return links.flatMap((link, number) =>
    link.foreignKey
      ? [
          `alter table ${schema}.t${at} add foreign key (${linkColumns(world, link, number).join(', ')}) references ${schema}.t${link.to}`,
        ]
      : [],
  )
}

function insertRows(world: World, schema: string, at: number, rows: readonly Row[]): string {
  const table = tableOf(world, at)
  const values = rows.map((row) => {
    const parts = [
      ...keyOf(table, row.id),
      `name ${row.id}`,
      row.state,
      row.n,
      row.who,
      row.gone,
      ...table.links.flatMap(({ to }, number) =>
        linked(tableOf(world, to), row.up[number] ?? null),
      ),
      ...table.moments.map((column, number) => literal(column, row.at[number] ?? { kind: 'none' })),
    ]
    return `(${parts.map((part) => quoted(part)).join(', ')})`
  })
  return values.length === 0 ? 'select' : `insert into ${schema}.t${at} values ${values.join(', ')}`
}

function linked(to: WorldTable, id: number | null): readonly (string | null)[] {
  return id === null ? keyColumns(to).map(() => null) : keyOf(to, id)
}

function quoted(part: string | number | boolean | null): string {
  return part === null ? 'null' : `'${part}'`
}

function placeHold(
  world: World,
  schema: string,
  order: Order,
  ruleId: (id: string) => string,
): string {
  const into = (columns: string, values: string): string =>
    `insert into retentiond.hold (case_reference, scope, ${columns}) values ('C-1', '${order.scope}', ${values})`
  switch (order.scope) {
    case 'row': {
      const table = tableOf(world, order.table)
      const name = `${schema}.t${order.table}`
      return into(
        'table_oid, table_name, key_columns, key',
        `'${name}'::regclass, '${name}', '{${keyColumns(table).join(',')}}', array[${keyOf(
          table,
          order.id,
        )
          .map((part) => quoted(part))
          .join(', ')}]`,
      )
    }
    case 'subject':
      return into('subject', quoted(order.subject))
    case 'rule':
      return into('rule', quoted(ruleId(order.rule)))
    default:
      return order satisfies never
  }
}

/** The value as text that PostgreSQL reads; null for none. */
function literal({ type }: MomentColumn, moment: Moment): string | null {
  if (moment.kind === 'none') return null
  if (moment.kind !== 'time') return oddity(type, moment.kind)
  const day = printDay(moment.day)
  const seconds = secondsOf(moment.day, moment.second)
  const clock = new Date(seconds * 1000).toISOString()
  switch (type) {
    case 'date':
    case 'text':
      return day
    case 'timestamp':
      return clock.slice(0, 19)
    case 'timestamptz':
      return clock
    case 'seconds':
      return String(seconds)
    case 'milliseconds':
      return String(seconds * 1000 + (moment.second % 1000))
    case 'uuid7':
      return uuidOf(seconds)
    default:
      return type satisfies never
  }
}

function oddity(
  type: MomentColumn['type'],
  kind: 'infinity' | 'minus infinity' | 'nonsense',
): string {
  switch (type) {
    case 'date':
    case 'timestamp':
    case 'timestamptz':
      if (kind === 'nonsense') return '0001-01-01'
      return kind === 'infinity' ? 'infinity' : '-infinity'
    case 'seconds':
      return kind === 'minus infinity' ? '-9223372036854775808' : '1000000000000000'
    case 'milliseconds':
      return kind === 'minus infinity' ? '0' : '9223372036854775807'
    case 'text':
      return kind === 'nonsense' ? '2011-02-30' : kind
    case 'uuid7':
      return kind === 'nonsense'
        ? '01890000-0000-4abc-8def-0123456789ab'
        : 'ffffffff-ffff-7fff-8fff-ffffffffffff'
    default:
      return type satisfies never
  }
}

function uuidOf(seconds: number): string {
  const hex = Math.max(0, seconds * 1000)
    .toString(16)
    .padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7abc-8def-0123456789ab`
}

/** What is left of the rows, as `keysLeft` reads it from the database. */
export function leftOf(world: World, rows: readonly Live[], at: number): readonly string[] {
  const table = tableOf(world, at)
  return rows.map(({ id, name }) => `${keyOf(table, id).join(' ')} ${name ?? 'nobody'}`).toSorted()
}

export function selectLeft(world: World, schema: string): string {
  const each = world.tables.map((table, at) => {
    const key = keyColumns(table).map((column) => `${column}::text`)
    return `select ${at} as "table", ${[...key, "coalesce(name, 'nobody')"].join(` || ' ' || `)} as left from ${schema}.t${at}`
  })
  return each.join(' union all ')
}
