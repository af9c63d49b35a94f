import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, inject, test, vi } from 'vitest'
import { runInside } from './program.ts'
import { openSite } from './site.ts'

/** What must not be found anywhere afterwards: it stands in every column, key and link. */
const CANARIES = [
  'Zoë-canary-7f3a',
  '6f1c2b9e-5d1a-4a7e-9c55-2f8e61c0d4b7',
  '4711008815',
  'note-canary-9b',
]

const SCHEMA = `
create schema crm;
create table crm.person (
  code uuid, number bigint, name text, left_on date, mail text unique, primary key (code, number)
);
create table crm.note (
  id text primary key, code uuid, number bigint, body text,
  foreign key (code, number) references crm.person
);
create index on crm.note (code, number);
create table crm.lead (id text primary key, name text, left_on date, check (name <> '' or id not like 'Z%'));
insert into crm.person values
  ('6f1c2b9e-5d1a-4a7e-9c55-2f8e61c0d4b7', 4711008815, 'Zoë-canary-7f3a', '2010-01-01', 'Zoë-canary-7f3a@x');
insert into crm.note values
  ('note-canary-9b', '6f1c2b9e-5d1a-4a7e-9c55-2f8e61c0d4b7', 4711008815, 'Zoë-canary-7f3a');
-- The second cannot be anonymised: PostgreSQL's error has the whole row.
insert into crm.lead values ('a', 'Zoë-canary-7f3a', '2010-01-01'), ('Zoë-canary-7f3a', 'x', '2010-01-01')`

const POLICY = `
version: 1
policy: crm
owner: DPO
timezone: UTC
defaults: { mode: enforce, limits: { max_rows: 10, max_percent: 100 }, pace: { share: 100 } }
rules:
  - id: person
    table: crm.person
    start: left_on
    keep: 10 years
    references: { crm.note: with_parent }
    then: purge
  - id: lead
    table: crm.lead
    start: left_on
    keep: 10 years
    then: { anonymise: { name: { constant: '' }, left_on: { keep: 'the period' } } }
`

/** A canary as it is, and as whoever tries to hide it would write it. */
function spellings(canary: string): readonly string[] {
  const texts = [canary, JSON.stringify([canary])]
  const digests = texts.flatMap((text) =>
    ['md5', 'sha1', 'sha256'].map((name) => createHash(name).update(text).digest()),
  )
  const bytes = [...texts.map((text) => Buffer.from(text)), ...digests]
  return [
    canary,
    ...bytes.flatMap((each) => [
      each.toString('hex'),
      each.toString('base64').replace(/=*$/, '').slice(0, -1),
    ]),
  ]
}

function found(where: string, text: string): readonly string[] {
  return CANARIES.flatMap((canary) =>
    spellings(canary).some((spelling) => text.toLowerCase().includes(spelling.toLowerCase()))
      ? [`${canary} in ${where}`]
      : [],
  )
}

/** What the server has logged; what it logs last comes a moment later than the answer. */
async function logUpTo(mark: string): Promise<string> {
  return vi.waitFor(async () => {
    const log = await readFile(inject('serverLog'), 'utf8')
    if (!log.includes(mark)) throw new Error('the log is not written yet')
    return log
  }, 10_000)
}

test('J-T42: nothing personal is in the journal, an export, a certificate or what the program says', async () => {
  await using site = await openSite(SCHEMA)
  await site.govern(POLICY)
  await site.prepare()
  await site.sql((await runInside(['grants'], site.superuser)).out)
  await site.sql('create extension pg_stat_statements')
  const at = (name: string) => `${site.folder}/${name}`
  const env = {
    ...site.env,
    RETENTIOND_CHECKPOINT_KEY_FILE: at('checkpoint.key'),
    RETENTIOND_EVIDENCE_KEY_FILE: at('evidence.key'),
  }
  const said: string[] = []
  const run = async (...args: readonly string[]) => {
    const { out, err } = await runInside(args, env)
    said.push(out, err)
    return out
  }
  await run('keygen', at('checkpoint.key'))
  await run('keygen', '--evidence', 'ek-2026', at('evidence.key'))
  const plan = await site.write('plan.json', await run('plan', '--output', 'json'))
  const enforced = await run('enforce', '--plan', plan, '--output', 'json')
  await run('plan')
  await run('journal', 'list')
  await run('journal', 'status')
  await run('journal', 'verify', '--deep')
  const policies = ['--policies', at('policies')]
  await run('journal', 'export', '--evidence', '--tiles', '--out', at('out'), ...policies)
  const days = ['--from', '2026-01-01', '--to', '2199-12-31']
  await run('journal', 'certificate', ...days, '--out', at('certificate.html'), ...policies)

  // It went, and the row that could not be anonymised was met.
  expect(await site.sql('select from crm.person')).toEqual([])
  expect(await site.sql("select from crm.lead where name = ''")).toHaveLength(1)
  expect(enforced).toContain('"lead"')
  const seen: string[] = [...found('what was printed', said.join('\n'))]
  const files = await readdir(at('out'), { recursive: true, withFileTypes: true })
  for (const file of [
    ...files.filter((each) => each.isFile()).map(({ parentPath, name }) => join(parentPath, name)),
    at('certificate.html'),
    plan,
  ]) {
    const bytes = await readFile(file)
    seen.push(...found(file, bytes.toString()), ...found(file, bytes.toString('hex')))
  }
  const tables = await site.sql<{ name: string }>(`
    select table_name as name from information_schema.tables where table_schema = 'retentiond'`)
  for (const { name } of tables) {
    const rows = await site.sql<{ row: string }>(
      `select row::text from retentiond."${name}" as row`,
    )
    seen.push(...found(name, rows.map(({ row }) => row).join('\n')))
  }

  const statements = await site.sql<{ query: string }>(`
    select query from pg_stat_statements
    where dbid = (select oid from pg_database where datname = current_database())`)
  seen.push(...found('pg_stat_statements', statements.map(({ query }) => query).join('\n')))
  const mark = `canaries of ${site.database.name}`
  await site.sql(`do $$ begin raise log '${mark}'; end $$`)
  const log = await logUpTo(mark)
  seen.push(...found('the log of the server', log))

  expect(seen).toEqual([])
  // The row that was refused stands in the log, and nothing of what was in it.
  expect(log).toContain('violates check constraint "lead_check"')
  expect(statements.length).toBeGreaterThan(50)
  const hidden = createHash('sha256')
    .update(CANARIES[1] ?? '')
    .digest('base64')
  expect(found('a hash', hidden)).toHaveLength(1)
  expect(tables.length).toBeGreaterThan(5)
  expect(said.join('').length).toBeGreaterThan(1000)
})
