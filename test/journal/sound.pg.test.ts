import { generateKeyPairSync } from 'node:crypto'
import { expect, test } from 'vitest'
import { signerOf } from '../../src/journal/signature.ts'
import { requireSoundHead, requireSoundJournal } from '../../src/journal/sound.ts'
import { openBed, type Bed } from '../support/bed.ts'

const SITE = `
version: 1
policy: site
owner: DPO
timezone: UTC
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 }, batch: { rows: 2 } }
rules:
  - { id: connection, table: site.connection, start: at, keep: 1 year, then: purge }
`

async function enforcedBed(): Promise<Bed> {
  const bed = await openBed()
  await bed.run(`
    create schema site;
    create table site.connection (id int primary key, at date);
    insert into site.connection select n, '2015-01-01' from generate_series(1, 10) as n`)
  await bed.govern(SITE)
  await bed.enforce()
  return bed
}

/** Changes rows that the guards protect, as a superuser can. */
async function tamper(bed: Bed, statement: string): Promise<void> {
  await bed.run('alter table retentiond.entry disable trigger all')
  await bed.run('alter table retentiond.head disable trigger all')
  await bed.run(statement)
}

/** Closes a bed whose invariant is broken on purpose. */
async function abandon(bed: Bed): Promise<void> {
  await expect(bed[Symbol.asyncDispose]()).rejects.toThrow()
}

test('a sound journal may be appended to', async () => {
  await using bed = await enforcedBed()

  const head = await requireSoundJournal(bed.connection.db, bed.signer)

  expect(head.size).toBe(10)
})

test('another key than the one that signs the journal is refused, and nothing is purged', async () => {
  await using bed = await enforcedBed()
  const other = signerOf(
    generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  )
  await bed.run("insert into site.connection values (99, '2015-01-01')")

  const refused = bed.enforce(other === null ? {} : { signer: other })

  await expect(refused).rejects.toThrow('is not the one that signs the journal')
  expect(await bed.rows('select id from site.connection')).toEqual([{ id: 99 }])
})

test('a journal whose newest entry was cut off is not appended to', async () => {
  const bed = await enforcedBed()
  await tamper(bed, 'delete from retentiond.entry where seq = 9')

  await expect(requireSoundHead(bed.connection.db, bed.signer)).rejects.toMatchObject({ exit: 5 })

  await abandon(bed)
})

test('a daemon does not start on a journal in which one byte was changed', async () => {
  const bed = await enforcedBed()
  await tamper(
    bed,
    `update retentiond.entry
     set body = set_byte(body, length(body) - 3, 56 # (get_byte(body, length(body) - 3) & 1))
     where seq = 4`,
  )

  await expect(requireSoundHead(bed.connection.db, bed.signer)).resolves.toBeDefined()
  await expect(requireSoundJournal(bed.connection.db, bed.signer)).rejects.toThrow(
    /not sound: entry [45]/,
  )

  await abandon(bed)
})
