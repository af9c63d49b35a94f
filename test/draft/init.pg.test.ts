import { existsSync, readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openSite, type Site } from '../cli/site.ts'
import { ROOT } from '../meta/sources.ts'

const DATA = join(ROOT, '../shared/data')

/** The structure of a sample script; the rows of its COPY blocks need a client that can stream. */
function structureOf(file: string): string {
  return readFileSync(file, 'utf8').replaceAll(/^COPY .* FROM stdin;\n[^]*?^\\\.$/gm, '')
}

/** From an empty folder to a printed plan, by the commands of the first hour and nothing else. */
async function firstHour(site: Site): Promise<{ readonly policy: string; readonly plan: string }> {
  // As a role that may read no table: what it writes can come from names and types alone.
  const stranger = await site.database.createRole('stranger')
  const url = site.database.urlOf(stranger)
  const drafted = await site.run(['init'], { ...site.env, RETENTIOND_DATABASE_URL: url })
  expect(drafted).toMatchObject({ status: 0, out: '' })
  expect((await site.run(['validate'])).status).toBe(0)
  await site.prepare()
  const validated = await site.run(['validate', '--database'])
  expect(validated).toMatchObject({ status: 0, err: '' })
  const planned = await site.run(['plan'])
  expect(planned).toMatchObject({ status: 0, err: '' })
  const folder = join(site.folder, 'policies')
  const [file = ''] = await readdir(folder)
  return { policy: await readFile(join(folder, file), 'utf8'), plan: planned.out }
}

test.for([
  ['chinook', join(DATA, 'chinook.sql'), ['customer', 'employee', 'invoice']],
  ['pagila', join(DATA, 'pagila.sql'), ['actor', 'film_actor', 'film_category']],
  [
    'the demo',
    join(ROOT, 'deploy/demo/schema.sql'),
    ['customer', 'contract', 'invoice', 'ticket', 'connection'],
  ],
] as const)(
  'a first policy for %s loads, fits and is planned, and nobody read a row to write it',
  async ([name, file, rules], { skip }) => {
    skip(!existsSync(file), `${name}: ${file} is not in this checkout`)
    await using site = await openSite(structureOf(file))

    const { policy, plan } = await firstHour(site)

    for (const rule of rules) {
      expect(policy).toContain(`\n  - id: ${rule}\n`)
      expect(plan).toMatch(new RegExp(`^${rule} `, 'm'))
    }
  },
)

const VISITS = 'create schema site; create table site.visit (id bigint primary key, seen_at date);'

test('a first policy is written to the folder that is asked for, and never over a file', async () => {
  await using site = await openSite(VISITS)
  const folder = join(site.folder, 'new', 'folder')
  const args = ['init', '--output-dir', folder, '--schema', 'site']

  const first = await site.run(args, site.superuser)
  const again = await site.run(args, site.superuser)

  expect(first.status).toBe(0)
  expect(first.err).toContain('1 rule of mode report')
  expect(again.status).toBe(78)
  expect(again.err).toContain('is there already, and is never overwritten')
  expect(await readdir(folder)).toHaveLength(1)
})

test('a first policy says which other policies lie in its folder', async () => {
  await using site = await openSite(VISITS)
  const folder = join(site.folder, 'shared')
  await mkdir(folder)
  await writeFile(join(folder, 'example.yaml'), 'version: 1\n')

  const drafted = await site.run(['init', '--output-dir', folder], site.superuser)

  expect(drafted.status).toBe(0)
  expect(drafted.err).toContain(`note: ${join(folder, 'example.yaml')} is read with it`)
})

test('without a table that says when its rows began there is no first policy', async () => {
  await using site = await openSite(
    'create schema bare; create table bare.word (id int primary key);',
  )
  await mkdir(join(site.folder, 'none'))

  const nothing = await site.run(['init', '--schema', 'gone'], site.superuser)
  const dateless = await site.run(
    ['init', '--output-dir', join(site.folder, 'none')],
    site.superuser,
  )

  expect([nothing.status, dateless.status]).toEqual([78, 78])
  expect(nothing.err).toContain('there are no tables to write rules for')
  expect(dateless.err).toContain('says when its rows began')
  expect(await readdir(join(site.folder, 'none'))).toEqual([])
})
