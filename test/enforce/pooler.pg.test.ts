/** Everything through PgBouncer in transaction pooling, where no session is one's own: faults.md L3. */
import { mkdtemp, rm, writeFile, cp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { describe, expect } from 'vitest'
import { connect } from '../../src/db/connect.ts'
import { takeLease } from '../../src/db/lease.ts'
import { migrate } from '../../src/db/migrate.ts'
import { test, type Bed } from '../support/bed.ts'
import { hasPgBouncer, openPooler, type Pooler } from '../support/pgbouncer.ts'

const POLICY = `
version: 1
policy: site
owner: DPO
timezone: Europe/Paris
defaults: { mode: enforce, limits: { max_rows: 10000, max_percent: 100 }, batch: { rows: 50 }, after: { vacuum: true } }
rules:
  - id: visit
    table: site.visit
    start: seen_at
    keep: 12 months
    then: purge
    references: { site.page: with_parent }
  - id: account
    table: site.account
    start: closed_on
    keep: 10 years
    then: { anonymise: { closed_on: { keep: it says when }, full_name: { constant: Anonymised } } }
`

async function openRows(bed: Bed): Promise<void> {
  await bed.run(`
    create schema site;
    create table site.visit (id int primary key, seen_at timestamptz);
    create table site.page (id int primary key, visit_id int references site.visit);
    create index on site.page (visit_id);
    create table site.account (id int primary key, closed_on date, full_name text);
    insert into site.visit select n, now() - interval '2 years' from generate_series(1, 500) as n;
    insert into site.page select n, n from generate_series(1, 500) as n;
    insert into site.account
    select n, now() - interval '11 years', 'Name ' || n from generate_series(1, 300) as n;`)
  await bed.govern(POLICY)
}

async function poolerFor(bed: Bed): Promise<Pooler> {
  const superuser = new URL(bed.database.superuserUrl)
  return openPooler(bed.database.superuserUrl, {
    [bed.roles.daemon]: 'test',
    [decodeURIComponent(superuser.username)]: decodeURIComponent(superuser.password),
  })
}

/** Sessions of the application that go through the same pool, and what they see of settings. */
async function neighbour(url: string, over: () => boolean): Promise<readonly string[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  const seen = new Set<string>()
  while (!over()) {
    const { rows } = await client.query<{ seen: string }>(`
      select concat_ws(' ', current_setting('search_path'), current_setting('row_security'),
        current_setting('lock_timeout'), current_setting('statement_timeout'),
        (select count(*) from pg_prepared_statements)) as seen`)
    for (const row of rows) seen.add(row.seen)
  }
  await client.end()
  return [...seen]
}

async function advisoryLocks(bed: Bed): Promise<number> {
  const [row] = await bed.rows<{ locks: number }>(`
    select count(*)::int as locks from pg_locks
    where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`)
  return row?.locks ?? -1
}

describe.skipIf(!hasPgBouncer())('with PgBouncer, which needs its package', () => {
  test('a run through a pooler leaves no setting, lock or named statement to its neighbours', async ({
    bed,
  }) => {
    await openRows(bed)
    await using pooler = await poolerFor(bed)
    const url = pooler.through(bed.database.urlOf(bed.roles.daemon))
    await using through = connect(url, { max: 4 })
    let over = false

    const [result, ...seen] = await Promise.all([
      bed.enforce({ db: through.db }).finally(() => {
        over = true
      }),
      ...[1, 2, 3].map(async () => neighbour(url, () => over)),
    ])

    expect(result).toMatchObject({ outcome: 'done', rules: [{ rows: 300 }, { rows: 500 }] })
    // Before PostgreSQL 17 no role but the owner may.
    const may = await bed.rows("select where current_setting('server_version_num')::int >= 170000")
    expect(result.after.tended.map(({ analyzed, vacuumed }) => analyzed && vacuumed)).toEqual(
      result.after.tended.map(() => may.length === 1),
    )
    for (const settings of seen) expect(settings).toEqual(['"$user", public on 0 0 0'])
    expect(await advisoryLocks(bed)).toBe(0)
  })

  test('of two enforcers behind one pooler the second is told who holds the lease', async ({
    bed,
  }) => {
    await openRows(bed)
    await using pooler = await poolerFor(bed)
    const url = pooler.through(bed.database.urlOf(bed.roles.daemon))
    await using one = connect(url, { max: 2 })
    await using other = connect(url, { max: 2 })
    let refusal: unknown = null

    const result = await bed.enforce({
      db: one.db,
      holder: 'the first',
      onStep: async (step) => {
        if (step !== 'begun' || refusal !== null) return
        refusal = await takeLease(other.db, 'the second').catch((error: unknown) => error)
      },
    })

    expect(refusal).toMatchObject({ code: 'LEASE_HELD' })
    expect(String(refusal)).toContain('the first')
    expect(result.outcome).toBe('done')
  })

  test('a migration that fails through a pooler leaves no lock, and the next one goes through', async ({
    bed,
  }) => {
    const folder = await mkdtemp(join(tmpdir(), 'retentiond-migrations-'))
    await cp('migrations', folder, { recursive: true })
    await writeFile(
      join(folder, '9999_broken.sql'),
      'create table retentiond.a (id int); select 1/0;',
    )
    await using pooler = await poolerFor(bed)
    await using through = connect(pooler.through(bed.database.superuserUrl), { max: 2 })

    await expect(migrate(through.db, { folder, roles: bed.roles })).rejects.toThrow()
    const locks = await advisoryLocks(bed)
    await writeFile(join(folder, '9999_broken.sql'), 'select 1;')
    await migrate(through.db, { folder, roles: bed.roles })
    await rm(folder, { recursive: true })

    expect(locks).toBe(0)
    expect(
      await bed.rows("select from retentiond.migration where name = '9999_broken'"),
    ).toHaveLength(1)
    expect(await bed.rows("select to_regclass('retentiond.a') as found")).toEqual([{ found: null }])
    await bed.run("delete from retentiond.migration where name = '9999_broken'")
  })
})
