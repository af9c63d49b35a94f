import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openSite, type Site } from './site.ts'

const SCHEMA = `
  create schema site;
  create table site.visit (id bigint primary key, seen_at timestamptz, address text);
  insert into site.visit select n, now() - n * interval '40 days', 'canary-' || n from generate_series(0, 19) as n;`

function policy(keep: string, mode = 'enforce'): string {
  return `
version: 1
policy: site
owner: DPO
timezone: Europe/Paris
defaults: { mode: ${mode}, limits: { max_rows: 1000, max_percent: 100 }, batch: { rows: 4 } }
rules:
  - { id: visit, table: site.visit, start: seen_at, keep: ${keep}, then: purge }
`
}

const left = async (site: Site) =>
  (await site.sql<{ rows: number }>('select count(*)::int as rows from site.visit'))[0]?.rows

/** The tests of this file are one story, in order: each goes on where the one before ended. */
let site: Site

beforeAll(async () => {
  site = await openSite(SCHEMA)
  await site.govern(policy('12 months'))
})

afterAll(async () => {
  await site[Symbol.asyncDispose]()
})

test('before the database is migrated nothing runs, and every command says what to run', async () => {
  const [plan, verify] = await Promise.all([
    site.run(['plan'], site.superuser),
    site.run(['journal', 'verify'], site.superuser),
  ])

  expect(plan.status).toBe(78)
  expect(plan.err).toContain('it was never migrated\n  run: retentiond migrate\n')
  expect(verify.status).toBe(3)
  expect(verify.err).toContain('if there was a journal here before, ask who removed it')
})

test('what keygen, grants and migrate do is enough for every other command', async () => {
  await site.prepare()

  const validated = await site.run(['validate', '--database'])

  expect(validated).toMatchObject({ status: 0, err: '' })
  expect(validated.out).toContain('1 rule in 1 file, fitted to the database')
})

test('the daemon cannot be made an owner of the journal by the advice of migrate', async () => {
  const { status, err } = await site.run(['migrate'])

  expect(status).toBe(78)
  expect(err).toContain('run it as a superuser')
  expect(err).not.toMatch(/grant "owner_\w+" to "daemon_/)
})

test('migrate is done once', async () => {
  const { status, out, err } = await site.run(['migrate'], site.superuser)

  expect({ status, out }).toEqual({ status: 0, out: '' })
  expect(err).toContain('the schema is up to date')
})

test('a plan says by its status whether something is due, if asked', async () => {
  await site.govern(policy('100 years'))
  const nothing = await site.run(['plan', '--detailed-exitcode'])
  await site.govern(policy('12 months'))
  const due = await site.run(['plan', '--detailed-exitcode', '--output', 'json'])
  const unasked = await site.run(['plan'])
  await site.govern(policy('12 months').replace('max_rows: 1000', 'max_rows: 3'))
  const refused = await site.run(['plan', '--detailed-exitcode'])
  await site.govern(policy('12 months'))

  expect([nothing, due, unasked, refused].map(({ status }) => status)).toEqual([0, 2, 0, 3])
  expect(JSON.parse(due.out)).toMatchObject({
    schema_version: 1,
    enforceable: true,
    rules: [{ rule: 'visit', counts: { due: 10, running: 10 } }],
  })
  expect(refused.out).toContain('REFUSED: 10 rows would go')
})

test('nothing is enforced that nobody approved, and the refusal says what to run', async () => {
  const { status, out, err } = await site.run(['enforce'])

  expect(status).toBe(3)
  expect(out).toContain('visit: refused: rule visit waits for an approval: nobody approved it')
  expect(err).toBe(
    'to approve: retentiond plan -o plan.json, read it, then: retentiond approve plan.json\n',
  )
  expect(await left(site)).toBe(20)
})

test('a plan file that is missing, foreign, edited, stale or of another day is not carried out', async () => {
  const plan = join(site.folder, 'plan.json')
  const asOf = join(site.folder, 'as-of.json')
  await site.run(['plan', '-o', plan])
  await site.run(['plan', '--as-of', '2030-01-01', '-o', asOf])
  const text = await readFile(plan, 'utf8')
  const edited = await site.write('edited.json', text.replace('"due": 10', '"due": 11'))
  const foreign = await site.write('foreign.json', '{"schema_version": 99}')
  const noJson = await site.write('no.json', 'due: 10')

  const enforce = async (file: string) => site.run(['enforce', '--plan', file])
  const ended = {
    missing: await enforce(join(site.folder, 'nowhere.json')),
    noJson: await enforce(noJson),
    foreign: await enforce(foreign),
    edited: await enforce(edited),
    asOf: await enforce(asOf),
    stale: await site.govern(policy('6 months')).then(async () => enforce(plan)),
  }
  await site.govern(policy('12 months'))

  expect(
    Object.fromEntries(Object.entries(ended).map(([how, { status }]) => [how, status])),
  ).toEqual({ missing: 78, noJson: 78, foreign: 78, edited: 3, asOf: 3, stale: 3 })
  expect(ended.missing.err).toContain('nowhere.json could not be read (ENOENT)')
  expect(ended.noJson.err).toContain('is not JSON')
  expect(ended.foreign.err).toContain('is not a plan of this version')
  expect(ended.edited.err).toContain('was changed after it was made')
  expect(ended.asOf.err).toContain('a plan as of 2030-01-01 cannot be carried out')
  expect(ended.stale.err).toContain('the plan is stale: rules changed: visit')
  for (const { err } of Object.values(ended)) expect(err).toMatch(/\n {2}\S/)
  expect(await left(site)).toBe(20)
})

test('a second enforcer is told who holds the lease, and changes nothing', async () => {
  await site.sql(`
    update retentiond.lease set token = token + 1, holder = 'enforce on other-host, process 7',
      acquired_at = now(), expires_at = now() + interval '1 hour'`)
  const plan = join(site.folder, 'plan.json')
  await site.run(['plan', '-o', plan])

  const { status, err } = await site.run(['enforce', '--plan', plan])
  await site.sql('update retentiond.lease set holder = null, expires_at = null')

  expect(status).toBe(75)
  expect(err).toContain('enforce on other-host, process 7 holds the lease since ')
  expect(await left(site)).toBe(20)
})

test('an approved rule is enforced without a plan file, as a schedule does', async () => {
  const plan = join(site.folder, 'plan.json')
  await site.run(['plan', '-o', plan])

  const approved = await site.run(['approve', plan])
  const enforced = await site.run(['enforce', '--output', 'json'])

  expect(approved).toMatchObject({ status: 0, out: 'approved visit\n' })
  expect(enforced.status).toBe(0)
  expect(JSON.parse(enforced.out)).toMatchObject({
    schema_version: 1,
    outcome: 'done',
    rules: [{ rule: 'visit', rows: 10, child_rows: 0, error: null }],
    refused: [],
    error: null,
  })
  expect(await left(site)).toBe(10)
})

test('the head that enforce prints verifies the journal, and nothing else does', async () => {
  const again = await site.run(['enforce'])
  const head = /^journal (\S+)$/m.exec(again.out)?.[1] ?? ''

  const [anchored, alone, json] = await Promise.all([
    site.run(['journal', 'verify', '--expect', head], site.auditor),
    site.run(['journal', 'verify'], site.auditor),
    site.run(['journal', 'verify', '--expect', head, '--output', 'json'], site.auditor),
  ])

  expect(again.out).toContain('nothing was due')
  expect(anchored.status).toBe(0)
  expect(alone.status).toBe(3)
  expect(JSON.parse(json.out)).toMatchObject({ schema_version: 1, verdict: 'verified' })
})

test('the journal shows what was done to whom may read it, and no value of a row', async () => {
  const [list, lines, show, lost] = await Promise.all([
    site.run(['journal', 'list'], site.auditor),
    site.run(['journal', 'list', '--output', 'json'], site.auditor),
    site.run(['journal', 'show', '0'], site.auditor),
    site.run(['journal', 'show', '999'], site.auditor),
  ])

  expect(list.out).toContain('visit: purge site.visit')
  expect(
    lines.out
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { v: number }).v),
  ).toEqual(
    list.out
      .trimEnd()
      .split('\n')
      .slice(1)
      .map(() => 1),
  )
  expect(show.out).toMatch(/signature {2}valid/)
  expect(lost).toMatchObject({ status: 78, out: '' })
  expect(lost.err).toContain('there is no entry 999')
  expect(list.out + lines.out + show.out).not.toContain('canary')
})

test('without a journal nothing is destroyed', async () => {
  await site.sql(`
    insert into site.visit values (100, '2001-01-01', 'canary');
    alter table retentiond.head disable trigger all;
    create table public.head as select * from retentiond.head;
    delete from retentiond.head`)

  const enforced = await site.run(['enforce'])
  const daemon = await site.run(['daemon'])
  await site.sql('insert into retentiond.head select * from public.head')

  expect([enforced.status, daemon.status]).toEqual([5, 5])
  expect(enforced.err).toContain('this database has no journal')
  expect(enforced.err).toContain('ask who removed it')
  expect(await left(site)).toBe(11)
})

test('one byte changed by a superuser is proof of tampering, and stops every run', async () => {
  await site.sql(`
    alter table retentiond.entry disable trigger all;
    update retentiond.entry set body = set_byte(body, 5, 57) where seq = 3`)

  const verified = await site.run(['journal', 'verify'], site.auditor)
  const enforced = await site.run(['enforce'])

  expect(verified.status).toBe(1)
  expect(verified.out).toContain('TAMPERED')
  expect(verified.out).toMatch(/finding {3}entry 3: /)
  expect(enforced.status).toBe(5)
  expect(enforced.err).toContain('journal entry 3')
  expect(await left(site)).toBe(11)
})
