import { expect, test } from 'vitest'
import { parseEntry } from '../../src/journal/entry.ts'
import { openSite } from './site.ts'

const POLICY = `
version: 1
policy: site
owner: DPO
timezone: UTC
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 }, pace: { share: 100 } }
rules:
  - { id: visit, table: site.visit, start: at, keep: 1 year, then: purge }
  - { id: post, table: site.post, start: at, keep: 1 year, then: purge }
`

test('a journal whose key was lost is set aside, and the new one names it and knows every open hold', async () => {
  await using site = await openSite(`
    create schema site; create table site.visit (id int primary key, at date);
    create table site.post (id int primary key, at date);
    insert into site.visit values (1, '2015-01-01'); insert into site.post values (1, '2015-01-01')`)
  await site.govern(POLICY)
  await site.prepare()
  await site.run(['hold', 'place', 'CASE-1', '--rule', 'visit'], site.keeper)
  await site.run(['hold', 'place', 'CASE-2', '--rule', 'post'], site.keeper)
  await site.run(['hold', 'lift', 'CASE-2'], site.keeper)
  const old = await site.run(['journal', 'verify'], site.auditor)
  const head = /^head +(\S+)$/m.exec(old.out)?.[1] ?? ''
  await site.run(['keygen', `${site.folder}/new.key`])
  const env = { ...site.env, RETENTIOND_ENTRY_KEY_FILE: `${site.folder}/new.key` }
  const superuser = { ...site.superuser, RETENTIOND_ENTRY_KEY_FILE: `${site.folder}/new.key` }

  expect(await site.run(['enforce'], env)).toMatchObject({ status: 78 })
  const wrong = await site.run(
    ['journal', 'succeed', '--why', 'key-lost', '--last', head.replace(/^\d+/, '2')],
    superuser,
  )
  expect(wrong).toMatchObject({ status: 3, out: '' })
  const begun = await site.run(
    ['journal', 'succeed', '--why', 'key-lost', '--last', head],
    superuser,
  )
  expect(begun).toMatchObject({
    status: 0,
    err: expect.stringContaining('1 open holds came along'),
  })

  const [genesis, hold] = await site.sql<{ body: Buffer }>(
    'select body from retentiond.entry order by seq',
  )
  const first = parseEntry(genesis?.body ?? Buffer.alloc(0)).entry
  expect(first).toMatchObject({ type: 'genesis', previous: { why: 'key-lost' } })
  if (first?.type !== 'genesis' || first.previous === undefined) throw new Error('no genesis')
  expect(`${first.previous.size}:${first.previous.root.toString('base64')}`).toBe(head)
  expect(parseEntry(hold?.body ?? Buffer.alloc(0)).entry).toMatchObject({
    hold: 1,
    phase: 'placed',
  })
  const schema = `retentiond_${first.previous.origin.slice(-8)}`
  expect(await site.sql(`select count(*)::int as entries from ${schema}.entry`)).toEqual([
    { entries: first.previous.size },
  ])

  await site.run(['plan', '-o', `${site.folder}/plan.json`], env)
  const ran = await site.run(['enforce', '--plan', `${site.folder}/plan.json`], env)
  expect(ran.status).toBe(0)
  expect(await site.sql('select id from site.visit')).toEqual([{ id: 1 }])
  expect(await site.sql('select id from site.post')).toEqual([])
  const next = await site.run(['hold', 'place', 'CASE-3', '--rule', 'post'], {
    ...site.keeper,
    RETENTIOND_ENTRY_KEY_FILE: `${site.folder}/new.key`,
  })
  expect(next.out).toBe('placed hold 3\n')
})
