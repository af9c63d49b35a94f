import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { openExportFolder } from '../../src/journal/export-folder.ts'
import { csvCell } from '../../src/journal/export-summary.ts'
import { EMPTY_RANGE, extend, leafHash, printTreeHead, rootOf } from '../../src/journal/merkle.ts'
import { openExport } from '../../src/journal/read-export.ts'
import { addToTiles, beginTiles, partialTiles, type Tile } from '../../src/journal/tiles.ts'
import { verifyExport } from '../../src/journal/verify-export.ts'
import type { StoredEntry } from '../../src/journal/reader.ts'
import { codes, headOf, journalOf, sealed, SMALL_JOURNAL } from './builders.ts'
import { ROOT } from '../meta/sources.ts'

const run = promisify(execFile)
const ENTRIES = journalOf(SMALL_JOURNAL)

async function openFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'retentiond-export-'))
  onTestFinished(async () => rm(folder, { recursive: true }))
  return folder
}

/** An export of these entries whose head is what its maker says. */
async function exported(entries: readonly StoredEntry[], head = headOf(entries)): Promise<string> {
  const folder = await openFolder()
  const files = {
    'entries.jsonl': entries.map(({ body }) => `${body.toString()}\n`).join(''),
    'signatures.txt': entries.map(({ sig }, seq) => `${seq} ${sig.toString('base64')}\n`).join(''),
    'head.txt': `${printTreeHead(head)}\n`,
  }
  const manifest: string[] = []
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(folder, name), text)
    manifest.push(`${createHash('sha256').update(text).digest('hex')}  ${name}\n`)
  }
  await writeFile(join(folder, 'MANIFEST.sha256'), manifest.join(''))
  return folder
}

async function found(folder: string) {
  return verifyExport(await openExport(folder), { trustKey: null, expected: headOf(ENTRIES) })
}

test('an untouched export verifies as the journal does', async () => {
  expect(await found(await exported(ENTRIES))).toMatchObject({ verdict: 'verified', findings: [] })
})

test('J-T59: an export with a line missing, appended or reordered is tampered with', async () => {
  const [first, second, third, ...rest] = ENTRIES as [StoredEntry, StoredEntry, StoredEntry]
  const again = { ...first, seq: ENTRIES.length }
  const attempts = [
    [second, third, ...rest],
    [first, third, ...rest],
    ENTRIES.slice(0, -1),
    [...ENTRIES, again],
    [first, third, second, ...rest],
  ]
  for (const attempt of attempts) {
    // The manifest and the head are those of the altered files.
    expect(await found(await exported(attempt))).toMatchObject({ verdict: 'tampered' })
  }
  const cut = await exported(ENTRIES)
  const lines = await readFile(join(cut, 'entries.jsonl'), 'utf8')
  await writeFile(join(cut, 'entries.jsonl'), lines.replace(/[^\n]+\n$/, ''))
  expect(codes(await found(cut))).toEqual(expect.arrayContaining(['5 ENCODING', '0 MANIFEST']))
})

test('J-T15: a signed entry in another spelling is found in an export too', async () => {
  const [genesis, ...rest] = ENTRIES as [StoredEntry]
  const loose = sealed(0, Buffer.from(genesis.body.toString().replace('{"v":1', '{ "v":1')))

  expect(codes(await found(await exported([loose, ...rest])))).toContain('0 ENCODING')
})

test('J-T19: a policy entry with another text fails its signature, its successor and the root', async () => {
  const altered = ENTRIES.map((entry) =>
    entry.seq === 1
      ? { ...entry, body: Buffer.from(entry.body.toString().replace('"count":12', '"count":11')) }
      : entry,
  )

  expect(codes(await found(await exported(altered)))).toEqual(['1 SIGNATURE', '2 CHAIN', '5 ROOT'])
})

test('the text of a rule that is not the one its file is named after is found', async () => {
  const folder = await exported(ENTRIES)
  await mkdir(join(folder, 'policies'))
  await writeFile(join(folder, 'policies', `${'ab'.repeat(32)}.json`), '{}')

  expect(codes(await found(folder))).toEqual(['0 POLICY'])
})

test('an export that was not finished, or is a part, is neither sound nor tampered with', async () => {
  const folder = await exported(ENTRIES)
  await writeFile(join(folder, 'part.txt'), '3 5\n')
  await expect(openExport(folder)).rejects.toThrow('part')
  await rm(join(folder, 'head.txt'))
  await expect(openExport(folder)).rejects.toThrow('no whole export')
})

test('an export is never written into a folder that has files', async () => {
  await expect(openExportFolder(await exported(ENTRIES))).rejects.toThrow('is not empty')
})

test('a cell that a spreadsheet takes for a formula is made harmless', () => {
  const cells = ['=1', '+1', '-1', '@a', '\ta', '\ra', 'a,"b"', 'plain'].map(csvCell)

  expect(cells).toEqual(["'=1", "'+1", "'-1", "'@a", "'\ta", '"\'\ra"', '"a,""b"""', 'plain'])
})

test('tiles hold every hash of the tree, in the paths and widths of tlog-tiles', () => {
  const tiling = beginTiles()
  const size = 256 * 256 + 256 + 3
  const tiles = new Map<string, Buffer>()
  const keep = (made: readonly Tile[]) => {
    for (const { path, bytes } of made) tiles.set(path, bytes)
  }
  let range = EMPTY_RANGE
  for (let seq = 0; seq < size; seq += 1) {
    const body = Buffer.from(`{"seq":${seq}}`)
    range = extend(range, leafHash(body))
    keep(addToTiles(tiling, body))
  }
  keep(partialTiles(tiling))

  const widths = ['tile/0/000', 'tile/0/257.p/3', 'tile/1/000', 'tile/1/001.p/1', 'tile/2/000.p/1']
  expect(widths.map((path) => (tiles.get(path)?.length ?? 0) / 32)).toEqual([256, 3, 256, 1, 1])
  const edge = ['tile/2/000.p/1', 'tile/1/001.p/1', 'tile/0/257.p/3'].map(
    (path) => tiles.get(path) ?? Buffer.alloc(0),
  )
  const [top, middle, low] = edge as [Buffer, Buffer, Buffer]
  const pair = Buffer.concat([Buffer.of(1), low.subarray(0, 64)])
  const roots = [top, middle, createHash('sha256').update(pair).digest(), low.subarray(64)]
  expect(rootOf({ size, roots })).toEqual(rootOf(range))
  const bundle = tiles.get('tile/entries/257.p/3') ?? Buffer.alloc(0)
  expect(bundle.subarray(2, 2 + bundle.readUInt16BE()).toString()).toBe(`{"seq":${257 * 256}}`)
})

test('J-T58: Python alone computes the root of an export, by the script that the document shows', async ({
  skip,
}) => {
  const there = await run('python3', ['--version']).catch(() => null)
  if (there === null) skip('there is no python3 here: the script of the document was not run')
  const script = join(ROOT, 'docs/recompute_root.py')
  const document = await readFile(join(ROOT, 'docs/journal-format.md'), 'utf8')
  const text = await readFile(script, 'utf8')
  expect(document).toContain(`\`\`\`python\n${text}\`\`\``)
  expect(text.split('\n').length).toBeLessThanOrEqual(41)

  const { stdout } = await run('python3', [script, await exported(ENTRIES)])
  expect(stdout).toBe(`${printTreeHead(headOf(ENTRIES))}\n`)
  const shorter = await exported(ENTRIES.slice(0, -1), headOf(ENTRIES))
  await expect(run('python3', [script, shorter])).rejects.toThrow('ROOT')
})

test('the verifier is a library that needs no package, under the name of the program', async () => {
  const folder = await openFolder()
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
  await run(
    process.execPath,
    [tsc, '-p', 'tsconfig.build.json', '--outDir', join(folder, 'dist')],
    {
      cwd: ROOT,
    },
  )
  await cp(join(ROOT, 'package.json'), join(folder, 'package.json'))
  await mkdir(join(folder, 'try'))
  await writeFile(
    join(folder, 'try/try.js'),
    `import { openExport, parseTreeHead, verifyExport } from 'retentiond/verify'
     const expected = parseTreeHead(process.argv[3])
     const report = await verifyExport(await openExport(process.argv[2]), { trustKey: null, expected })
     console.log(report.verdict)`,
  )
  const journal = join(ROOT, 'docs/journal-v1')
  const head = (await readFile(join(journal, 'head.txt'), 'utf8')).trimEnd()
  const { stdout } = await run(process.execPath, [join(folder, 'try/try.js'), journal, head])

  expect(stdout).toBe('verified\n')
})
