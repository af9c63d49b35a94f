import { DatabaseError, type Client } from 'pg'
import { expect, test } from 'vitest'
import { findLostGuards, GUARDS, printLostGuard } from '../../src/journal/guards.ts'
import { journalReader } from '../../src/journal/read.ts'
import { treeHead } from '../../src/journal/nodes.ts'
import { verify } from '../../src/journal/verify.ts'
import { openJournalBench, type JournalBench } from './bench.ts'
import { policy } from './builders.ts'

const ENTRY = {
  insert: `insert into retentiond.entry (seq, body, sig) values (9, '\\x7b7d', decode(repeat('00', 68), 'hex'))`,
  update: `update retentiond.entry set body = '\\x7b7d'`,
  delete: 'delete from retentiond.entry',
  truncate: 'truncate retentiond.entry',
  alter: 'alter table retentiond.entry disable trigger all',
  drop: 'drop table retentiond.entry cascade',
}

const HEAD = {
  insert: `insert into retentiond.head (one, origin, size, last_hash, last_time)
           values (true, 'x', 0, decode(repeat('00', 32), 'hex'), now())`,
  update: 'update retentiond.head set size = 0',
  delete: 'delete from retentiond.head',
  truncate: 'truncate retentiond.head',
  alter: 'alter table retentiond.head disable trigger all',
  drop: 'drop table retentiond.head',
}

const NODE = {
  insert: `insert into retentiond.node values (60, 0, decode(repeat('00', 32), 'hex'))`,
  update: 'update retentiond.node set level = level',
  delete: 'delete from retentiond.node',
  truncate: 'truncate retentiond.node',
  alter: 'alter table retentiond.node disable trigger all',
  drop: 'drop table retentiond.node',
}

const CHECKPOINT = {
  update: `update retentiond.checkpoint set note = 'x'`,
  delete: 'delete from retentiond.checkpoint',
  truncate: 'truncate retentiond.checkpoint',
  alter: 'alter table retentiond.checkpoint disable trigger all',
  drop: 'drop table retentiond.checkpoint',
}

const EVIDENCE = {
  insert: `insert into retentiond.evidence values (0, decode(repeat('00', 32), 'hex'))`,
  update: 'update retentiond.evidence set seq = seq',
  delete: 'delete from retentiond.evidence',
  truncate: 'truncate retentiond.evidence',
  alter: 'alter table retentiond.evidence disable trigger all',
  drop: 'drop table retentiond.evidence',
}

const LEASE = {
  insert: 'insert into retentiond.lease (one, token) values (true, 1)',
  update: 'update retentiond.lease set token = token + 1',
  delete: 'delete from retentiond.lease',
  truncate: 'truncate retentiond.lease',
  alter: 'alter table retentiond.lease disable trigger all',
  drop: 'drop table retentiond.lease',
}

const ANONYMISED = {
  insert: `insert into retentiond.anonymised values (1, '{1}', 'r', 'd', 1)`,
  update: 'update retentiond.anonymised set seq = 2',
  delete: 'delete from retentiond.anonymised',
  truncate: 'truncate retentiond.anonymised',
  alter: 'alter table retentiond.anonymised disable trigger all',
  drop: 'drop table retentiond.anonymised',
}

const ARCHIVED = {
  insert: `insert into retentiond.archived_leaf values (0, decode(repeat('00', 32), 'hex'))`,
  update: 'update retentiond.archived_leaf set seq = seq',
  delete: 'delete from retentiond.archived_leaf',
  truncate: 'truncate retentiond.archived_leaf',
  alter: 'alter table retentiond.archived_leaf disable trigger all',
  drop: 'drop table retentiond.archived_leaf cascade',
}

const VIEW = {
  insert: `insert into retentiond.policy_entry (seq, body, sig) values (9, '\\x7b7d', decode(repeat('00', 68), 'hex'))`,
  update: `update retentiond.policy_entry set body = '\\x7b7d'`,
  delete: 'delete from retentiond.policy_entry',
}

const MIGRATION = {
  insert: `insert into retentiond.migration_file (name, sha256) values ('x', 'x')`,
  update: `update retentiond.migration_file set sha256 = 'x'`,
  delete: 'delete from retentiond.migration_file',
}

const FUNCTIONS = {
  lock: 'select retentiond.lock_head()',
  append: `select retentiond.append(9, '\\x00', now(), '\\x7b7d', '\\x00')`,
  archive: 'select retentiond.archive(0, 1, 3)',
  open: `select retentiond.open_log('x', '\\x7b7d', '\\x00')`,
  read: 'select from retentiond.entry',
  keys: 'select key from retentiond.anonymised',
}

const DENIED = '42501'
const DONE = 'done'

/** The SQLSTATE each statement ends with, or `done`; each one is rolled back. */
async function outcomes(
  client: Client,
  statements: Readonly<Record<string, string>>,
): Promise<Readonly<Record<string, string>>> {
  const seen: Record<string, string> = {}
  for (const [operation, statement] of Object.entries(statements)) {
    await client.query('savepoint attempt')
    seen[operation] = await client.query(statement).then(
      () => DONE,
      (error: unknown) => (error instanceof DatabaseError ? (error.code ?? '') : String(error)),
    )
    await client.query('rollback to savepoint attempt')
  }
  return seen
}

/** Runs as `role` in a transaction that is rolled back. */
async function as(
  { database }: JournalBench,
  { role, mode }: { readonly role: string; readonly mode: string },
  statements: Readonly<Record<string, string>>,
): Promise<Readonly<Record<string, string>>> {
  const client = database.superuser
  await client.query(
    `begin; set local session_replication_role = ${mode}; set local role ${role === 'superuser' ? 'none' : role}`,
  )
  const seen = await outcomes(client, statements)
  await client.query('rollback')
  return seen
}

const all = (statements: Readonly<Record<string, string>>, outcome: string) =>
  Object.fromEntries(Object.keys(statements).map((operation) => [operation, outcome]))

async function openGuarded(): Promise<JournalBench> {
  const bench = await openJournalBench()
  await bench.append(policy)
  return bench
}

const MODES = ['origin', 'replica'] as const

test.for(MODES)(
  'daemon, auditor and application change no entry and no head (%s)',
  async (mode) => {
    await using bench = await openGuarded()
    const application = await bench.database.createRole('application')

    for (const role of [bench.roles.daemon, bench.roles.auditor, application]) {
      expect(await as(bench, { role, mode }, ENTRY)).toEqual(all(ENTRY, DENIED))
      expect(await as(bench, { role, mode }, HEAD)).toEqual(all(HEAD, DENIED))
      expect(await as(bench, { role, mode }, NODE)).toEqual(all(NODE, DENIED))
      expect(await as(bench, { role, mode }, EVIDENCE)).toEqual(all(EVIDENCE, DENIED))
      expect(await as(bench, { role, mode }, CHECKPOINT)).toEqual(all(CHECKPOINT, DENIED))
      expect(await as(bench, { role, mode }, ARCHIVED)).toEqual(all(ARCHIVED, DENIED))
      expect(await as(bench, { role, mode }, VIEW)).toEqual(all(VIEW, DENIED))
      expect(await as(bench, { role, mode }, MIGRATION)).toEqual(all(MIGRATION, DENIED))
    }
  },
)

test.for(MODES)(
  'a role that may write every table changes no entry and no head (%s)',
  async (mode) => {
    await using bench = await openGuarded()
    const role = await bench.database.createRole('writer')
    await bench.database.superuser.query(`grant pg_write_all_data, pg_read_all_data to ${role}`)

    expect(await as(bench, { role, mode }, ENTRY)).toEqual(all(ENTRY, DENIED))
    expect(await as(bench, { role, mode }, HEAD)).toEqual(all(HEAD, DENIED))
    expect(await as(bench, { role, mode }, VIEW)).toEqual(all(VIEW, DENIED))
  },
)

test.for(MODES)(
  'the owner of the schema changes no entry without taking the guards away (%s)',
  async (mode) => {
    await using bench = await openGuarded()
    const role = bench.roles.owner

    expect(await as(bench, { role, mode }, ENTRY)).toEqual({
      ...all(ENTRY, DENIED),
      insert: DONE,
      alter: DONE,
      drop: DONE,
    })
    expect(await as(bench, { role, mode }, HEAD)).toEqual({
      ...all(HEAD, DENIED),
      // Past the guard, and stopped by the one row that is there.
      insert: '23505',
      update: DONE,
      alter: DONE,
      drop: DONE,
    })
  },
)

test.for(MODES)(
  'a superuser must take the guards away first, which nothing prevents (%s)',
  async (mode) => {
    await using bench = await openGuarded()
    const role = 'superuser'

    expect(await as(bench, { role, mode }, ENTRY)).toEqual({
      ...all(ENTRY, DENIED),
      alter: DONE,
      drop: DONE,
    })
    expect(await as(bench, { role, mode }, HEAD)).toEqual({
      ...all(HEAD, DENIED),
      alter: DONE,
      drop: DONE,
    })
  },
)

test('the daemon keeps its lease and its marks, and cannot take their tables away', async () => {
  await using bench = await openGuarded()
  const daemon = { role: bench.roles.daemon, mode: 'origin' }
  const auditor = { role: bench.roles.auditor, mode: 'origin' }

  expect(await as(bench, daemon, LEASE)).toEqual({ ...all(LEASE, DENIED), update: DONE })
  expect(await as(bench, daemon, ANONYMISED)).toEqual({
    ...all(ANONYMISED, DENIED),
    insert: DONE,
    update: DONE,
    delete: DONE,
  })
  expect(await as(bench, auditor, LEASE)).toEqual(all(LEASE, DENIED))
  expect(await as(bench, auditor, ANONYMISED)).toEqual(all(ANONYMISED, DENIED))
})

test('each role calls what is meant for it, and the auditor sees no key', async () => {
  await using bench = await openGuarded()
  const calls = async (role: string) => as(bench, { role, mode: 'origin' }, FUNCTIONS)
  const application = await bench.database.createRole('application')

  expect(await calls(bench.roles.daemon)).toEqual({
    lock: DONE,
    // Reached the function: the head is elsewhere.
    append: '40001',
    archive: DENIED,
    open: DENIED,
    read: DONE,
    keys: DONE,
  })
  expect(await calls(bench.roles.auditor)).toEqual({
    lock: DENIED,
    append: DENIED,
    archive: DENIED,
    open: DENIED,
    read: DONE,
    keys: DENIED,
  })
  expect(await calls(application)).toEqual(all(FUNCTIONS, DENIED))
})

test('a session that shadows the catalog does not deceive the functions of the journal', async () => {
  await using bench = await openGuarded()
  const client = bench.database.superuser
  const shadow = await bench.database.createRole('shadow')
  await client.query(`grant pg_write_all_data to ${shadow}`)
  await client.query(`begin; set local role ${shadow}`)
  await client.query(`create temporary table pg_namespace (nspname name, nspowner oid)`)
  await client.query(
    `insert into pg_temp.pg_namespace select 'retentiond', oid from pg_catalog.pg_roles where rolname = '${shadow}'`,
  )
  await client.query('set local search_path = pg_temp, pg_catalog')

  const seen = await outcomes(client, { insert: ENTRY.insert })
  await client.query('rollback')

  expect(seen).toEqual({ insert: DENIED })
})

test('every guard fires always, in this schema and not in others', async () => {
  await using bench = await openGuarded()

  const { rows } = await bench.database.superuser.query<{ guard: string; enabled: string }>(`
    select relname || '.' || tgname as guard, tgenabled as enabled
    from pg_trigger
    join pg_class on pg_class.oid = tgrelid
    where not tgisinternal
    order by 1`)

  expect(rows).toEqual(GUARDS.map((guard) => ({ guard, enabled: 'A' })))
})

test('J-T53: a guard that is missing, off or asleep is found, and the journal verifies all the same', async () => {
  await using bench = await openGuarded()
  expect(await findLostGuards(bench.db)).toEqual([])

  await bench.database.superuser.query(`
    drop trigger only_owner on retentiond.entry;
    alter table retentiond.head disable trigger deny_delete;
    alter table retentiond.node enable trigger deny_change`)
  const lost = await findLostGuards(bench.db)

  expect(lost.map(({ guard, state }) => `${guard} ${state}`)).toEqual([
    'entry.only_owner missing',
    'head.deny_delete disabled',
    'node.deny_change asleep',
  ])
  expect(lost.map(printLostGuard)).toContain('trigger only_owner of retentiond.entry is missing')
  const expected = await treeHead(bench.db)
  expect(await verify(journalReader(bench.db), { trustKey: null, expected })).toMatchObject({
    verdict: 'verified',
  })
})
