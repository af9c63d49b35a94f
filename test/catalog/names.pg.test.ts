import { expect, test } from 'vitest'
import { printTable } from '../../src/base/names.ts'
import { needsOf, renderGrants } from '../../src/catalog/needs.ts'
import { makePlan } from '../../src/plan/make.ts'
import { readTable } from '../../src/policy/name.ts'
import { openFitting, purgeRule } from './fitting.ts'

/** As SQL and as a policy write it. */
const ODD_NAMES = [
  ['"Weird Table"', 'Weird Table'],
  ['"a""b"', '"a""b"'],
  ['"select"', 'select'],
  ['"👤"', '👤'],
  ['"a.b"', '"a.b"'],
  ['"o\'neill; drop table x --"', "o'neill; drop table x --"],
  ['"$1"', '$1'],
  ['"back\\slash"', 'back\\slash'],
  ['"ünï"', 'ünï'],
  [`"${'x'.repeat(63)}"`, 'x'.repeat(63)],
] as const

test('a schema, a table or a column may be called anything', async () => {
  await using fitting = await openFitting(
    ODD_NAMES.map(
      ([sql]) => `
        create schema ${sql};
        create table ${sql}.${sql} (${sql} int primary key, "the end" date, state text);
        create table ${sql}.child (id int primary key, ${sql} int references ${sql}.${sql});
        insert into ${sql}.${sql} values (1, '2000-01-01'), (2, current_date), (200, '2000-01-01');
        insert into ${sql}.child values (10, 1), (20, 2)`,
    ).join(';\n'),
  )
  const rules = ODD_NAMES.map(
    ([, name], index) => `  - id: rule-${index}
    table: ${JSON.stringify(`${name}.${name}`)}
    where: { ${JSON.stringify(name)}: { lt: 100 } }
    start: the end
    keep: 1 year
    then: purge
    references: { ${JSON.stringify(`${name}.child`)}: with_parent }
`,
  ).join('')
  const { set, catalog } = await fitting.catalogOf(rules)
  const fitted = await fitting.fitted(rules)
  await fitting.run(
    renderGrants(
      fitted.flatMap((rule) => needsOf(rule, false)),
      fitting.role,
    ),
  )

  const plan = await makePlan(fitting.connection.db, {
    policyDigest: set.digest,
    catalog,
    rules: fitted,
    stand: { kind: 'now' },
    approved: null,
  })

  expect(
    plan.rules.map(({ counts, children }) => [counts.due, counts.outside, children[0]?.rows]),
  ).toEqual(ODD_NAMES.map(() => [1, 1, 1]))
})

test('tables of one name in two schemas are two tables', async () => {
  await using fitting = await openFitting(`
    create schema a; create schema "a.b"; create schema c;
    create table a."b.c" (id int primary key, started date);
    create table "a.b".c (id int, started timestamptz);
    create table c.c (id bigint primary key, started date)`)
  const [dotted] = await fitting.fitted(purgeRule(`'a."b.c"'`))
  const [plain] = await fitting.fitted(purgeRule('c.c'))

  expect(dotted?.table).toMatchObject({ schema: 'a', name: 'b.c' })
  expect(plain?.table).toMatchObject({ schema: 'c', name: 'c' })
  expect(plain?.key[0]?.type.name).toBe('int8')
  const rules = `${purgeRule(`'a."b.c"'`)}${purgeRule(`'"a.b".c'`).replace('id: rule', 'id: other')}`
  expect(await fitting.problems(rules)).toEqual([
    'crm.yaml:12:12 key_missing: "a.b".c has neither a primary key nor a unique key of columns that are not null > a row without a key cannot be named: alter table "a.b".c add primary key (…)',
  ])
})

test('a table is printed as a policy may write it', () => {
  const written = ODD_NAMES.map(([, name]) => readTable(`public.${name}`).value)
  const printed = written.map((table) => table && readTable(printTable(table)).value)
  expect(written).not.toContain(undefined)
  expect(printed).toEqual(written)
})

test('a table that a policy cannot name is still seen where it refers to one that is to go', async () => {
  await using fitting = await openFitting(`
    create schema crm;
    create table crm.customer (id int primary key, started date);
    create table crm."trailing " (id int primary key, customer_id int references crm.customer)`)
  const problems = await fitting.problems(purgeRule('crm.customer'))
  expect(problems).toHaveLength(1)
  expect(problems[0]).toContain('reference_undeclared: crm.trailing  refers to crm.customer')
})
