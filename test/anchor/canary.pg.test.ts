import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openAnchored } from '../../src/anchor/anchored.ts'
import { openAnchoring } from '../../src/anchor/anchoring.ts'
import { fileSink } from '../../src/anchor/file-sink.ts'
import { execSink } from '../../src/anchor/exec-sink.ts'
import { systemClock } from '../../src/base/clock.ts'
import type { Log } from '../../src/base/log.ts'
import { inSnapshot } from '../../src/db/transaction.ts'
import { EvidenceKey } from '../../src/journal/evidence.ts'
import { exportJournal } from '../../src/journal/export.ts'
import { openBed } from '../support/bed.ts'
import { checkpointSigner, temporaryFolder } from './journal.ts'

const CANARIES = ['canary-key-4711', 'canary-mail-4712', 'canary-text-4713']

/** A value as it might turn up: in clear, in base64 wherever it begins, in hexadecimal, hashed. */
function spellings(canary: string): readonly string[] {
  const shifted = [0, 1, 2].map((by) =>
    Buffer.from(`${'x'.repeat(by)}${canary}`)
      .toString('base64')
      .slice(4, -4),
  )
  const hashed = ['md5', 'sha1', 'sha256'].flatMap((name) => {
    const digest = createHash(name).update(canary).digest()
    return [digest.toString('hex'), digest.toString('base64'), digest.toString('latin1')]
  })
  return [canary, Buffer.from(canary).toString('hex'), ...shifted, ...hashed]
}

async function filesIn(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map(async (entry) => readFile(join(entry.parentPath, entry.name), 'latin1')),
  )
}

test('J-T42: nothing of a row is in the journal, in what sinks get, in an export or in the log', async () => {
  await using bed = await openBed()
  await bed.run(`
    create schema site;
    create table site.person (id text primary key, mail text, note text, at date);
    insert into site.person values ('${CANARIES.join("', '")}', '2015-01-01')`)
  await bed.govern(`
version: 1
policy: site
owner: DPO
timezone: UTC
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 }, pace: { share: 100 } }
rules:
  - { id: person, table: site.person, start: at, keep: 1 year, then: purge }
`)
  const { db } = bed.connection
  const [kept, exported] = [await temporaryFolder(), join(await temporaryFolder(), 'export')]
  const said: string[] = []
  const say = (fields: object, message: string) => {
    said.push(`${message} ${JSON.stringify(fields)}`)
  }
  const log: Log = { debug: say, info: say, warn: say, error: say }
  const sinks = [
    fileSink({ name: 'worm', required: true, folder: kept, evidence: true }),
    execSink({ name: 'cat', required: true, command: ['cat'], timeoutMs: 10_000 }),
  ]
  const tools = { db, signer: bed.signer, checkpoints: checkpointSigner, clock: systemClock }
  const anchoring = openAnchoring({ ...tools, log, sinks, quorum: 1, maxLagMs: 1e12 })
  const checkpointer = openAnchored(tools, anchoring, (head) => say(head, 'checkpoint'))
  const evidenceKey = new EvidenceKey('ek-2026', Buffer.alloc(32, 7))

  const { outcome } = await bed.enforce({ checkpointer, evidenceKey, log })
  await inSnapshot(db, async (trx) =>
    exportJournal(trx, { out: exported, from: 0, evidence: true, tiles: true, rules: new Map() }),
  )

  expect(outcome).toBe('done')
  const tables = await Promise.all(
    ['entry', 'evidence', 'node', 'checkpoint', 'anchor', 'approval', 'head'].map(async (table) =>
      bed.rows<{ row: string }>(`select row_to_json(t)::text as row from retentiond.${table} as t`),
    ),
  )
  const bodies = await bed.rows<{ body: Buffer }>('select body from retentiond.entry')
  const tokens = await bed.rows<{ tokens: Buffer }>('select tokens from retentiond.evidence')
  expect(tokens).toHaveLength(1)
  const places = [
    ...tables.flat().map(({ row }) => row),
    ...bodies.map(({ body }) => body.toString('latin1')),
    ...tokens.map((row) => row.tokens.toString('latin1')),
    ...(await filesIn(kept)),
    ...(await filesIn(exported)),
    ...said,
  ]
  expect(places.length).toBeGreaterThan(25)
  expect(places.filter((place) => place.includes('site.person')).length).toBeGreaterThan(3)
  for (const spelling of CANARIES.flatMap(spellings)) {
    expect(places.filter((place) => place.includes(spelling))).toEqual([])
  }
})
