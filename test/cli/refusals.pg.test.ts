import { afterAll, beforeAll, expect, test } from 'vitest'
import { openSite, serverName, type Site } from './site.ts'

const CANARY = 'canary-4711'

/** What an application may have that a rule cannot govern, and rows that break every statement. */
const SCHEMA = `
  create schema crm;
  create table crm.customer (
    id bigint primary key, name text, ended_on date, state text, login text unique
  );
  create table crm.contract (id bigint primary key, customer_id bigint references crm.customer, ended_on date);
  create table crm.note (customer_id bigint, written_on date, body text);
  create table crm.diary (id bigint primary key);
  create view crm.everybody as select * from crm.customer;
  create function crm.shout(name text, secret text, state text) returns boolean language plpgsql as $$
  begin
    if name = 'Anonymised' and state is not null then
      raise exception 'row %', secret using errcode = state, detail = secret, hint = secret;
    end if;
    return true;
  end $$;
  create table crm.loud (
    id bigint primary key, seen_on date, name text, secret text, state text,
    check (crm.shout(name, secret, state))
  );
  insert into crm.loud values
    (1, '2001-01-01', 'a', '${CANARY}', '22023'),
    (2, '2001-01-01', 'b', '${CANARY}', '23514'),
    (3, '2001-01-01', 'c', '${CANARY}', '42501'),
    -- A rule of which no row goes through is refused by its plan.
    (4, '2001-01-01', 'd', '${CANARY}', null);
`

const HEAD = `
version: 1
policy: crm
owner: DPO
timezone: Europe/Paris
sentinels: { open: ['9999-12-31'] }
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 } }
rules:
`

/** A rule that fits, as lines to be changed by a test. */
const RULE = `
  - id: contract
    table: crm.contract
    start: ended_on
    keep: 10 years
    then: purge
`

const changed = (from: string, to: string) => HEAD + RULE.replace(from, to)

let site: Site

beforeAll(async () => {
  site = await openSite(SCHEMA)
  await site.govern(HEAD + RULE)
  await site.prepare()
})

afterAll(async () => {
  await site[Symbol.asyncDispose]()
})

const anonymise = (masks: string) => `
  - id: customer
    table: crm.customer
    where: { state: gone }
    start: ended_on
    keep: 10 years
    then: { anonymise: { ${masks} } }
    references: { crm.contract: own_rule }
${RULE}`

test.for([
  [
    'a table is missing',
    changed('crm.contract', 'crm.contrat'),
    'there is no table crm.contrat',
    'did you mean crm.contract',
  ],
  [
    'a column is missing',
    changed('ended_on', 'end_on'),
    'has no column end_on',
    'did you mean ended_on?',
  ],
  [
    'a table has no key',
    changed('crm.contract\n    start: ended_on', 'crm.note\n    start: written_on'),
    'neither a primary key',
    'add primary key',
  ],
  [
    'a view is named',
    changed('crm.contract', 'crm.everybody'),
    'crm.everybody is a view',
    'name the table below it',
  ],
  [
    'our own schema is named',
    changed('crm.contract', 'retentiond.entry'),
    "retentiond.entry is the program's own",
    'rules never govern it',
  ],
  [
    'a foreign key is not declared',
    changed('crm.contract', 'crm.customer'),
    'crm.contract refers to crm.customer',
    'crm.contract: own_rule',
  ],
  [
    'a masked column decides',
    HEAD + anonymise('name: nothing, state: nothing, login: nothing'),
    'state',
    '',
  ],
  ['a unit is too fine', changed('10 years', '48 hours'), 'the smallest unit', 'write 2 days'],
] as const)(
  'a policy that does not fit is refused at its line: %s',
  async ([_how, yaml, said, remedy]) => {
    await site.govern(yaml)
    const { status, out, err } = await site.run(['plan'])

    expect({ status, out }).toEqual({ status: 78, out: '' })
    expect(err).toMatch(/policy\.yaml:\d+:\d+ {2}rules\[\d\]/)
    expect(err).toContain(said)
    expect(err).toContain(remedy)
    expect(err).toMatch(/nothing was done\n$/)
  },
)

test('a right that is missing is named with the grant that gives it', async () => {
  await site.govern(HEAD + RULE)
  await site.sql(`revoke delete on crm.contract from ${site.env['RETENTIOND_DAEMON_ROLE']}`)

  const refused = await site.run(['plan'])
  const [grant = ''] = /grant delete on crm\.contract to [^;]+;/.exec(refused.err) ?? []
  await site.sql(grant)
  const planned = await site.run(['plan'])

  expect(refused.status).toBe(78)
  expect(refused.err).toContain('may not delete crm.contract')
  expect(planned.status).toBe(0)
})

test('what the database refuses is told by its code alone, and no value of a row goes along', async () => {
  await site.govern(
    `${HEAD}
  - id: loud
    table: crm.loud
    start: seen_on
    keep: 1 year
    then:
      anonymise:
        name: { constant: Anonymised }
        seen_on: { keep: x }
        secret: { keep: x }
        state: { keep: x }
`,
  )
  await site.sql((await site.run(['grants'], site.superuser)).out)
  const plan = `${site.folder}/plan.json`
  await site.run(['plan', '-o', plan])

  const failed = await site.run(['enforce', '--plan', plan])
  await site.sql("delete from crm.loud where state = '42501'")
  await site.run(['plan', '-o', plan])
  const spared = await site.run(['enforce', '--plan', plan])

  expect([failed, spared].map(({ status }) => status)).toEqual([1, 4])
  expect(failed.out).toContain('SQLSTATE 42501')
  expect(spared.out).toContain('2 left')
  for (const { out, err } of [failed, spared]) {
    expect(out + err).not.toContain(CANARY)
    expect(out + err).not.toMatch(/Failing row|node_modules/)
  }
})

test.for([
  ['another password', { password: 'secret-word' }, 78, 'refuses role'],
  ['another database', { pathname: '/nowhere' }, 78, 'has no database nowhere'],
  ['no server', { port: '1' }, 1, 'no database answers at 127.0.0.1:1 (ECONNREFUSED)'],
  ['no TLS', { search: '?sslmode=verify-full' }, 78, 'the server does not offer TLS'],
  ['no file', { search: '?sslmode=verify-full&sslrootcert=/no/ca.pem' }, 78, '/no/ca.pem'],
] as const)(
  'who cannot connect learns why, and sees no password: %s',
  async ([, change, status, said]) => {
    const url = Object.assign(new URL(site.env['RETENTIOND_DATABASE_URL'] ?? ''), change)
    await site.govern(HEAD + RULE)

    const ended = await site.run(['plan'], { ...site.env, RETENTIOND_DATABASE_URL: url.href })

    expect(ended).toMatchObject({ status, out: '' })
    expect(ended.err).toContain(said)
    expect(ended.err).toMatch(/\n {2}\S/)
    expect(ended.err).not.toContain('secret-word')
  },
)

test('whoever asks about a row whose key the role may not read gets the grant to run', async () => {
  await site.govern(HEAD + RULE)

  const { status, out, err } = await site.run(['explain', 'crm.diary', '1'])

  expect({ status, out }).toEqual({ status: 78, out: '' })
  expect(err).toContain('may not read the key of crm.diary')
  expect(err).toContain('grant select (id) on crm.diary to ')
})

test('a server that refuses is named by host and port', async () => {
  const url = new URL(site.env['RETENTIOND_DATABASE_URL'] ?? '')
  url.pathname = '/nowhere'

  const { err } = await site.run(['plan'], { ...site.env, RETENTIOND_DATABASE_URL: url.href })

  expect(err).toContain(`the server at ${serverName()} `)
})

test('a schema of another version is refused, with the way to go on', async () => {
  await site.govern(HEAD + RULE)
  await site.sql("insert into retentiond.migration (name, timestamp) values ('0099_later', 'x')")
  const newer = await site.run(['plan'])
  await site.sql("delete from retentiond.migration where name in ('0099_later', '0001_journal')")
  const older = await site.run(['plan'])

  expect([newer.status, older.status]).toEqual([78, 78])
  expect(newer.err).toContain('newer than this program: it has 0099_later')
  expect(older.err).toContain('older than this program')
  expect(older.err).toContain('run: retentiond migrate')
})
