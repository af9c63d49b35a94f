import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import {
  certify,
  gathering,
  gatheringOf,
  type Certificate,
  type Scope,
} from '../../src/journal/certificate.ts'
import { renderCertificate } from '../../src/journal/certificate-html.ts'
import { openCheckpoint, signCheckpoint } from '../../src/journal/checkpoint.ts'
import type { EntryDraft } from '../../src/journal/entry.ts'
import { checkInclusion, leafHash } from '../../src/journal/merkle.ts'
import { noteSignerOf, parseVerifierKey } from '../../src/journal/note.ts'
import { verifyHeads } from '../../src/journal/verify-heads.ts'
import { exitOf } from '../../src/journal/verify.ts'
import {
  batch,
  genesis,
  headOf,
  journalOf,
  ORIGIN,
  OTHER_PEM,
  policy,
  positionOf,
  readerOf,
  RUN,
  runEnd,
  runStart,
} from './builders.ts'

const run = promisify(execFile)
const LOG = noteSignerOf(OTHER_PEM)
const HOSTILE = 'site.</script><img src=x>\u202e'
const OTHER_RUN = RUN.replace('6b', '7b')

const DRAFTS: readonly EntryDraft[] = [
  genesis(),
  { type: 'keys', use: 'checkpoint', key: LOG?.vkey(ORIGIN) ?? '' },
  policy,
  runStart,
  batch({
    policy: { rule: 'site-connection', sha256: policy.sha256, seq: 2 },
    children: [
      { target: HOSTILE, action: 'purge', rows: 1007 },
      { target: 'site.kept', action: 'detach', rows: 9 },
    ],
  }),
  batch({ policy: { rule: 'site-connection', sha256: policy.sha256, seq: 2 }, rows: 40 }),
  runEnd({
    totals: [
      { target: 'site.connection', action: 'purge', rows: 140 },
      { target: HOSTILE, action: 'purge', rows: 1007 },
      { target: 'site.kept', action: 'detach', rows: 9 },
    ],
  }),
  { ...runStart, run: OTHER_RUN },
  runEnd({ run: OTHER_RUN, totals: [] }),
]
const ENTRIES = journalOf(DRAFTS)
const NOTE = LOG === null ? '' : signCheckpoint(LOG, ORIGIN, headOf(ENTRIES))
const BEFORE = LOG === null ? '' : signCheckpoint(LOG, ORIGIN, headOf(ENTRIES.slice(0, 3)))
const RULES = new Map([[policy.sha256, '{"id":"site-connection","where":"a < b"}']])

async function certified(scope: Scope, more: readonly EntryDraft[] = []): Promise<Certificate> {
  const entries = more.length === 0 ? ENTRIES : journalOf([...DRAFTS, ...more])
  const seen = gatheringOf(scope)
  const anchors = [{ name: 'kept', note: NOTE }]
  const report = await verifyHeads(gathering(readerOf(entries), seen), {
    trustKey: null,
    expected: null,
    anchors,
  })
  const { verdict, head, anchors: told = null } = report
  const witnessed = [{ name: 'w1.example', at: '2026-11-22T12:05:00.000Z' }]
  const first = { size: 3, note: BEFORE, cosigned: [] }
  const notes = [
    { size: ENTRIES.length, note: NOTE, cosigned: [] },
    { size: ENTRIES.length, note: NOTE, cosigned: witnessed },
    first,
  ]
  return certify(
    seen,
    { verdict, head, anchors: told, rules: RULES, notes },
    {
      controller: 'ACME & Söhne',
      system: null,
      backupDays: 35,
      issuedAt: '2026-11-23T08:00:00.000Z',
    },
  )
}

test('a certificate of a run states its rows by table, and nothing of other runs', async () => {
  const { lines, runs, number, verdict, databases } = await certified({ kind: 'run', run: RUN })

  expect(number).toBe(`${ORIGIN}#run:${RUN}`)
  expect(lines.map(({ target, action, rows }) => [target, action, rows])).toEqual([
    ['site.connection', 'purge', 140],
    [HOSTILE, 'purge', 1007],
    ['site.kept', 'detach', 9],
  ])
  expect(runs).toMatchObject([{ run: RUN, trigger: 'schedule', outcome: 'done' }])
  expect(verdict).toBe('verified')
  expect(databases).toEqual(['7711079735163709739'])
})

test('a certificate of a period states every run of its days, and says so if there was none', async () => {
  const all = await certified({ kind: 'period', from: '2026-11-22', to: '2026-11-30' })
  const none = await certified({ kind: 'period', from: '2026-12-01', to: '2026-12-31' })

  expect(all.runs.map((each) => each.run)).toEqual([RUN, OTHER_RUN])
  expect(none).toMatchObject({ lines: [], runs: [], entries: [] })
  expect(renderCertificate(none, 'en')).toContain('Nothing was deleted, anonymised or blocked.')
})

test('a certificate says between which checkpoints its entries lie, and who saw them when', async () => {
  const certificate = await certified({ kind: 'run', run: RUN })
  const later = await certified({ kind: 'period', from: '2026-12-01', to: '2026-12-31' })

  expect(certificate.bounds).toEqual({
    before: { size: 3, time: '2026-11-22T12:00:02.000000Z', cosigned: [] },
    after: {
      size: 9,
      time: '2026-11-22T12:00:08.000000Z',
      cosigned: [{ name: 'w1.example', at: '2026-11-22T12:05:00.000Z' }],
    },
  })
  const page = renderCertificate(certificate, 'en').replaceAll(/\s+/g, ' ')
  expect(page).toContain('Journalled before checkpoint')
  expect(page).toMatch(/seen by w1\.example <time[^>]*>2026-11-22 12:05:00/)
  expect(renderCertificate(certificate, 'fr')).toContain('écritures, <time')
  expect(renderCertificate(certificate, 'fr')).toContain('\u00a0; vu par w1.example le <time')
  expect(later.bounds).toEqual({ before: null, after: null })
})

test('a certificate says that what it states came back with a restored backup', async () => {
  const { sysid, tli, lsn } = positionOf().db
  const restored = (size: number): EntryDraft => {
    return { type: 'recovered', why: 'archive', size, entries: 9 - size, was: { sysid, tli, lsn } }
  }
  const before = await certified({ kind: 'run', run: RUN }, [restored(5)])
  const after = await certified({ kind: 'run', run: RUN }, [restored(6)])

  expect(before.restoredAt).toEqual(['2026-11-22T12:00:09.000000Z'])
  expect(renderCertificate(before, 'en')).toContain('were there again until a later run')
  expect(after.restoredAt).toEqual([])
})

test('what a certificate states is signed: its entries lead to the root of its checkpoint', async () => {
  const page = renderCertificate(await certified({ kind: 'run', run: RUN }), 'en')
  const [, json = ''] =
    /<script type="application\/json" id="certificate">([^]*)<\/script>/.exec(page) ?? []
  const told = JSON.parse(json) as {
    readonly checkpoint: string
    readonly entries: readonly { seq: number; body: string; path: readonly string[] }[]
    readonly lines: readonly { readonly target: string }[]
  }
  const key = parseVerifierKey(LOG?.vkey(ORIGIN) ?? '')
  const { checkpoint } = openCheckpoint(told.checkpoint, key === null ? [] : [key]) as {
    readonly checkpoint: { readonly size: number; readonly root: Buffer }
  }

  expect(told.entries.map(({ seq }) => seq)).toEqual([3, 6])
  for (const { seq, body, path } of told.entries) {
    const leaf = leafHash(Buffer.from(body))
    const hashes = path.map((each) => Buffer.from(each, 'base64'))
    expect(checkInclusion({ ...checkpoint, leaf, index: seq, path: hashes })).toBe(true)
  }
  expect(told.lines[1]?.target).toBe(HOSTILE)
})

test.for(['en', 'fr'] as const)(
  'a certificate is one page of HTML that loads nothing and shows names as they are (%s)',
  async (language) => {
    const page = renderCertificate(await certified({ kind: 'run', run: RUN }), language)
    const shown = page.replace(/<script type="application\/json"[^]*?<\/script>/, '')

    expect(page).toContain(`<html lang="${language}">`)
    expect(shown).not.toMatch(/<script|<link|<img|<[^>]*\b(src|href)=|url\(|@import|https?:/)
    expect(page.match(/<\/script>/g)).toHaveLength(1)
    expect(shown).toContain('site.&lt;/script&gt;&lt;img src=x&gt;\\u{202e}')
    expect(shown).toContain('ACME &amp; Söhne')
    // Thirty-five days after the last batch; links that were cut are no rows that went.
    expect(shown).toContain('2026-12-27')
    expect(shown.replaceAll(/\D1.147\D/gu, ' all ')).toContain(' all ')
    expect(shown).toContain('&quot;where&quot;: &quot;a &lt; b&quot;')
    // eslint-disable-next-line no-control-regex
    expect(shown).not.toMatch(/undefined|\[object|NaN|[\u0000-\u0009\u202a-\u202e]/)
    expect(language === 'fr' && /<p>[^<]*\p{L} [:;]( |<)/u.test(shown)).toBe(false)
  },
)

test('a certificate prints on A4 from a browser, with its annexes on pages of their own', async ({
  skip,
}) => {
  const there = await run('chromium', ['--version']).catch(() => null)
  if (there === null) skip('there is no chromium here: the page was not printed')
  const folder = await mkdtemp(join(tmpdir(), 'retentiond-certificate-'))
  onTestFinished(async () => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  const file = join(folder, 'c.html')
  await writeFile(file, renderCertificate(await certified({ kind: 'run', run: RUN }), 'fr'))
  const flags = ['--headless', '--no-sandbox', '--disable-gpu', `--user-data-dir=${folder}/profile`]
  const printing = [...flags, '--no-pdf-header-footer', `--print-to-pdf=${folder}/c.pdf`]
  await run('chromium', [...printing, `file://${file}`], { timeout: 50_000 })
  const pdf = (await readFile(join(folder, 'c.pdf'))).toString('latin1')

  const pages = [...pdf.matchAll(/\/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]/g)].map(
    ([, width, height]) => [Math.round(Number(width)), Math.round(Number(height))],
  )
  expect(pages.length).toBeGreaterThanOrEqual(3)
  expect(pages.length).toBeLessThanOrEqual(5)
  for (const page of pages) expect(page).toEqual([595, 842])
})

test('a journal that nothing kept elsewhere was compared with gives a certificate that says so', async () => {
  const certificate = {
    ...(await certified({ kind: 'run', run: RUN })),
    verdict: 'unanchored',
  } as const
  const page = renderCertificate(certificate, 'en')

  expect(page).toContain('class="verdict weak"')
  expect(page).toContain('Not anchored')
  expect(page).toContain('rests on the operator alone')
  expect(exitOf(certificate.verdict)).toBe(3)
})
