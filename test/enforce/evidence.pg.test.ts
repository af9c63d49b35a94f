import { expect } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { parseEntry, type Entry } from '../../src/journal/entry.ts'
import { EvidenceKey, openToken } from '../../src/journal/evidence.ts'
import { journalDestruction, pruneEvidence } from '../../src/journal/evidence-keys.ts'
import { journalReader, readTokens, readWithTokens } from '../../src/journal/read.ts'
import { treeHead } from '../../src/journal/nodes.ts'
import { verify } from '../../src/journal/verify.ts'
import { test, type Bed } from '../support/bed.ts'

const KEY = new EvidenceKey('ek-2026', Buffer.alloc(32, 7))

const SHOP = `
version: 1
policy: shop
owner: DPO
timezone: UTC
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 }, batch: { rows: 3 } }
rules:
  - id: visit
    table: shop.visit
    start: at
    keep: 1 year
    then: purge
    references: { shop.click: with_parent }
  - id: person
    table: shop.person
    start: at
    keep: 1 year
    then: { anonymise: { name: nothing, at: { keep: 'the period' } } }
`

async function openShop(bed: Bed, yaml = SHOP): Promise<void> {
  await bed.run(`
    create schema shop;
    create table shop.visit (code uuid, day date, at date, primary key (code, day));
    create table shop.click (id numeric(9, 2) primary key, code uuid, day date,
      foreign key (code, day) references shop.visit);
    create index on shop.click (code, day);
    create table shop.person (id text primary key, name text, at date);
    insert into shop.visit
      select ('00000000-0000-4000-8000-00000000000' || n)::uuid, '2015-02-03', '2015-01-01'
      from generate_series(1, 5) as n;
    insert into shop.click
      select n, ('00000000-0000-4000-8000-00000000000' || n % 2 + 1)::uuid, '2015-02-03'
      from generate_series(1, 4) as n;
    insert into shop.person values ('a "quoted" \u001f Zoë', 'x', '2015-01-01')`)
  await bed.govern(yaml)
}

type Batch = Extract<Entry, { type: 'batch' }>

async function batches(bed: Bed): Promise<readonly Batch[]> {
  const found: Batch[] = []
  for await (const { body } of readWithTokens(bed.connection.db)) {
    const { entry } = parseEntry(body)
    if (entry?.type === 'batch') found.push(entry)
  }
  return found
}

/** Where a row is among the tokens of a batch: in which table, at which place; null if nowhere. */
async function placeOf(bed: Bed, entry: Batch, key: readonly string[]) {
  const { origin } = (
    await bed.rows<{ origin: string }>('select origin from retentiond.head')
  )[0] ?? {
    origin: '',
  }
  const tokens = await readTokens(bed.connection.db, entry.seq)
  const parts = [{ target: entry.target, rows: entry.rows }, ...entry.children]
  const total = parts.reduce((sum, { rows }) => sum + rows, 0)
  const blinds = KEY.blinds({ origin, batch: entry.batch }, total)
  let from = 0
  for (const { target, rows } of parts) {
    const opened = await openToken(blinds, tokens ?? Buffer.alloc(0), { from, rows }, key)
    if (opened !== null) return `${target} ${opened.position}`
    from += rows
  }
  return null
}

test('every row that went has its token in the batch that took it, children and composite keys too', async ({
  bed,
}) => {
  await openShop(bed)
  await bed.enforce({ evidenceKey: KEY })

  const found = await batches(bed)
  expect(found.map(({ evidence }) => evidence.alg)).toEqual(['pj1', 'pj1', 'pj1'])
  /** The tables in which a key has a token, over all batches. */
  const tablesOf = async (key: readonly string[]) => {
    const places = await Promise.all(found.map(async (entry) => placeOf(bed, entry, key)))
    return places.filter((place) => place !== null).map((place) => place.split(' ')[0])
  }
  for (const n of [1, 2, 3, 4, 5]) {
    expect(await tablesOf([`00000000-0000-4000-8000-00000000000${n}`, '2015-02-03'])).toEqual([
      'shop.visit',
    ])
  }
  expect(await tablesOf(['4.00'])).toEqual(['shop.click'])
  expect(await tablesOf(['a "quoted" \u001f Zoë'])).toEqual(['shop.person'])
  expect(await tablesOf(['00000000-0000-4000-8000-000000000006', '2015-02-03'])).toEqual([])
})

test('rows that one statement purged or overwrote have their tokens, whatever their keys are made of', async ({
  bed,
}) => {
  await bed.run(`
    create schema shop;
    create table shop.note (id text, day date, at date, primary key (id, day));
    create table shop.person (id text primary key, name text, at date);
    insert into shop.note select 'a, "b" {Zoë} \\ ' || n, '2015-02-03', '2015-01-01' from generate_series(1, 40) as n;
    insert into shop.person select 'person ' || n, 'x', '2015-01-01' from generate_series(1, 40) as n`)
  await bed.govern(`
version: 1
policy: shop
owner: DPO
timezone: UTC
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 }, batch: { rows: 100, walk: heap } }
rules:
  - { id: note, table: shop.note, start: at, keep: 1 year, then: purge }
  - id: person
    table: shop.person
    start: at
    keep: 1 year
    then: { anonymise: { name: nothing, at: { keep: 'the period' } } }
`)

  let begun = 0
  const onStep = (step: string): void => {
    begun += step === 'begun' ? 1 : 0
  }
  await bed.enforce({ evidenceKey: KEY, onStep })

  // One that cannot be a single statement begins again, step by step.
  expect(begun).toBe(2)
  const [notes, persons, ...others] = await batches(bed)
  if (notes === undefined || persons === undefined) throw new Error('two batches were expected')
  expect([notes.rows, persons.rows, others]).toEqual([40, 40, []])
  const note = (n: number) => [`a, "b" {Zoë} \\ ${n}`, '2015-02-03']
  for (const n of [1, 40]) {
    expect(await placeOf(bed, notes, note(n))).toMatch(/^shop.note \d+$/)
    expect(await placeOf(bed, persons, [`person ${n}`])).toMatch(/^shop.person \d+$/)
  }
  expect(await placeOf(bed, notes, note(41))).toBeNull()
})

test('J-T48: evidence is pruned and its key destroyed, each by an entry, and the journal verifies', async ({
  bed,
}) => {
  await openShop(bed)
  await bed.enforce({ evidenceKey: KEY })
  const { db } = bed.connection
  const tools = { db, signer: bed.signer, clock: systemClock }
  const { size } = await treeHead(db)

  expect(await pruneEvidence(tools, size)).toBe(3)
  expect(await pruneEvidence(tools, size)).toBe(0)
  await journalDestruction(tools, 'ek-2026')

  const report = await verify(journalReader(db), { trustKey: null, expected: await treeHead(db) })
  expect(report.verdict).toBe('verified')
  expect(report.remarks.map(({ code }) => code)).toEqual(['PRUNED'])
  await expect(journalDestruction(tools, 'ek-2026')).rejects.toThrow('already')
  await expect(journalDestruction(tools, 'ek-2025')).rejects.toThrow('names no evidence key')
  await expect(bed.enforce({ evidenceKey: KEY })).rejects.toThrow('was destroyed')
})

test('a rule that counts keeps no tokens, and one that promises them does not act without a key', async ({
  bed,
}) => {
  await openShop(
    bed,
    SHOP.replace('then: purge', 'then: purge\n    evidence: count').replace(
      'then: { anon',
      'evidence: rows\n    then: { anon',
    ),
  )

  await expect(bed.enforce()).rejects.toThrow('rule person keeps evidence of rows')
  await bed.enforce({ evidenceKey: KEY })

  const kept = (await batches(bed)).map(({ target, evidence }) => `${target} ${evidence.alg}`)
  expect(kept.toSorted()).toEqual(['shop.person pj1', 'shop.visit count', 'shop.visit count'])
})

test('another key under an id that the journal knows is refused before anything is destroyed', async ({
  bed,
}) => {
  await openShop(bed)
  await bed.enforce({ evidenceKey: KEY })
  await bed.run("insert into shop.person values ('later', 'x', '2015-01-01')")

  const other = new EvidenceKey('ek-2026', Buffer.alloc(32, 8))
  await expect(bed.enforce({ evidenceKey: other })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
  })
  expect(await bed.rows("select name from shop.person where id = 'later'")).toEqual([{ name: 'x' }])
})

test('no key of a row is in what the database keeps of it, in clear or as a plain hash', async ({
  bed,
}) => {
  await openShop(bed)
  await bed.enforce({ evidenceKey: KEY })
  await bed.run('delete from retentiond.anonymised')

  const [row] = await bed.rows<{ seen: string | null }>(`
    with stored as (
      select string_agg(encode(body, 'hex'), '') as bytes from retentiond.entry
      union all select string_agg(encode(tokens, 'hex'), '') from retentiond.evidence
    ),
    key as (
      select encode(convert_to(text, 'UTF8'), 'hex') as bytes, md5(text) as md5,
        encode(sha256(convert_to(text, 'UTF8')), 'hex') as sha
      from (
        select '00000000-0000-4000-8000-000000000003' as text
        union all select 'a "quoted" \u001f Zoë'
        union all select '["a \\"quoted\\" \\u001f Zoë"]'
        union all select '["00000000-0000-4000-8000-000000000003","2015-02-03"]'
      ) as texts
    )
    select string_agg(key.sha, ',') as seen
    from stored, key
    where position(key.bytes in stored.bytes) > 0
      or position(key.md5 in stored.bytes) > 0
      or position(key.sha in stored.bytes) > 0`)
  expect(row).toEqual({ seen: null })
})
