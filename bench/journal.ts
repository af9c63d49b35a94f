/**
 * `npm run bench:journal`: what it costs to verify a long journal, and to prove one row of many. It has
 * 20,000 entries of 5,000 rows each, with the tokens of all of them (3.2 GB); the rows to be proved are
 * in the oldest 200, where they are found last.
 */
import { spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { systemClock } from '../src/base/clock.ts'
import { connect } from '../src/db/connect.ts'
import { makeCheckpoint } from '../src/journal/checkpointer.ts'
import { encodeEntry, type EntryDraft, type Position } from '../src/journal/entry.ts'
import { EvidenceKey, tokensOf } from '../src/journal/evidence.ts'
import { leafHash, type Hash } from '../src/journal/merkle.ts'
import { noteSignerOf } from '../src/journal/note.ts'
import { readHead } from '../src/journal/read.ts'
import { openPlace, type Place } from './place.ts'

const { values: flags } = parseArgs({
  options: {
    entries: { type: 'string', default: '20000' },
    rows: { type: 'string', default: '5000' },
    /** Batches with rows that can be proved: 200 of 5,000 are a million. */
    provable: { type: 'string', default: '200' },
  },
})
const ENTRIES = Number(flags.entries)
const ROWS = Number(flags.rows)
const PROVABLE = Number(flags.provable)

/** As the Dockerfile sets them. */
const IMAGE = '--max-semi-space-size=2 --max-old-space-size=256'

const SECRET = Buffer.alloc(32, 7)
const KEY = new EvidenceKey('ek-2026', SECRET)
const OLD_KEY = new EvidenceKey('ek-2025', Buffer.alloc(32, 8))
const RUN = '6b1e6f5e-3c1b-4f5e-9f0e-0c8f2b7a1d00'
const DIGEST = 'ab'.repeat(32)

const PLACE: Pick<Position, 'db'> = {
  db: { sysid: '7711079735163709739', tli: '00000001', lsn: 'E/758F83A0', xid: '54951' },
}

await using place = await openPlace()
const folder = await mkdtemp(join(tmpdir(), 'retentiond-bench-'))
try {
  const filler = await makeJournal(place)
  // Signed before the tokens are there: signing would read all of them, once.
  const note = await sign(place)
  await fill(place, filler)
  await measureAll(place, note)
} finally {
  await rm(folder, { recursive: true })
}

async function sign({ applicationUrl, signer }: Place): Promise<string> {
  const { privateKey } = generateKeyPairSync('ed25519')
  const checkpoints = noteSignerOf(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
  if (checkpoints === null) throw new Error('no signer')
  await using connection = connect(applicationUrl)
  const tools = { db: connection.db, signer, checkpoints, clock: systemClock }
  return (await makeCheckpoint(tools, null)).note
}

async function measureAll({ applicationUrl, entryKey }: Place, note: string): Promise<void> {
  const [anchor, evidence, entry] = [join(folder, 'note'), join(folder, 'ek'), join(folder, 'key')]
  await writeFile(anchor, note)
  await writeFile(evidence, `${KEY.id} ${SECRET.toString('hex')}\n`, { mode: 0o600 })
  await writeFile(entry, entryKey, { mode: 0o600 })
  const env = {
    RETENTIOND_DATABASE_URL: applicationUrl,
    RETENTIOND_EVIDENCE_KEY_FILE: evidence,
    RETENTIOND_ENTRY_KEY_FILE: entry,
  }
  const proof = join(folder, 'proof.json')
  const wanted = ['--table', 'site.connection', '--key', '0', '--out', proof]
  const verify = ['journal', 'verify', '--anchor', anchor]
  await measure('verify', verify, env)
  await measure('verify, with the options of the image', verify, { ...env, NODE_OPTIONS: IMAGE })
  await measure('prove one row of the oldest batch', ['journal', 'prove', ...wanted], env)
  await measure('export', ['journal', 'export', '--out', join(folder, 'out')], env)
  const offline = ['journal', 'verify', '--dir', join(folder, 'out'), '--anchor', anchor]
  await measure('verify the export', offline, {})
}

/** Runs the program as a process of its own. */
async function measure(
  what: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<void> {
  const measured = new URL('measured.ts', import.meta.url).pathname
  const main = new URL('../src/main.ts', import.meta.url).pathname
  const started = performance.now()
  const child = spawn(process.execPath, ['--import', measured, main, ...args], { env: { ...env } })
  const said: string[] = []
  child.stderr.setEncoding('utf8').on('data', (text: string) => said.push(text))
  child.stdout.resume()
  const status = await new Promise((resolve) => {
    child.once('close', resolve)
  })
  const ms = Math.round(performance.now() - started)
  const [, taken = said.join('')] = /measured (\{.*\})/.exec(said.join('')) ?? []
  const load = loadavg()[0]?.toFixed(1)
  console.log(`${what}: exit ${String(status)}, ${ms} ms, ${taken}, load ${load}`)
}

/** Entries as a run would append them: keys, a policy, batches, the end of the run. */
async function makeJournal({ application, applicationUrl, signer }: Place): Promise<Filler> {
  await using connection = connect(applicationUrl)
  const head = await readHead(connection.db)
  if (head === null) throw new Error('no journal')
  const { origin, size: first } = head
  const filler = await tokensOf(OLD_KEY, { origin, batch: batchId(0) }, [keysFrom(0)])
  await application.query('alter table retentiond.evidence disable trigger all')
  const began = Date.now()
  let prev = head.lastHash
  for (let from = first; from < ENTRIES; from += 1000) {
    const made = { seqs: [] as number[], prevs: [] as Hash[], times: [] as string[] }
    const [bodies, sigs]: [Buffer[], Buffer[]] = [[], []]
    for (let seq = from; seq < Math.min(from + 1000, ENTRIES); seq += 1) {
      const own = isProvable(seq, first) ? await provable(origin, seq) : null
      if (own !== null) {
        const values = [seq, own.tokens]
        await application.query('insert into retentiond.evidence values ($1, $2)', values)
      }
      const time = new Date(began + seq).toISOString()
      const { roots } = own ?? filler
      const key = own === null ? OLD_KEY : KEY
      const draft = draftOf(seq, { first, key, root: roots[0] as Hash })
      const body = encodeEntry(draft, {
        ...PLACE,
        seq,
        prev,
        time: time.replace('Z', '000Z'),
        clock: time,
      })
      made.seqs.push(seq)
      made.prevs.push(prev)
      made.times.push(time)
      bodies.push(body)
      sigs.push(signer.sign(origin, body))
      prev = leafHash(body)
    }
    await application.query(
      `select retentiond.append(seq, prev, at, body, sig)
       from unnest($1::bigint[], $2::bytea[], $3::timestamptz[], $4::bytea[], $5::bytea[])
         as made (seq, prev, at, body, sig)`,
      [made.seqs, made.prevs, made.times, bodies, sigs],
    )
  }
  console.log(`${ENTRIES} entries of ${ROWS} rows, load ${loadavg()[0]?.toFixed(1)}`)
  return { tokens: filler.tokens, from: first + 4 + PROVABLE }
}

type Filler = { readonly tokens: Buffer; readonly from: number }

/** The other batches have the tokens of one: what they are is not looked at, how many there are is. */
async function fill({ application }: Place, { tokens, from }: Filler): Promise<void> {
  await application.query(
    'insert into retentiond.evidence select seq, $1 from generate_series($2::int, $3::int) as seq',
    [tokens, from, ENTRIES - 2],
  )
  await application.query('analyze retentiond.entry, retentiond.evidence')
}

function isProvable(seq: number, first: number): boolean {
  return seq >= first + 4 && seq < first + 4 + PROVABLE
}

/** The tokens of the rows of one batch; the first batch has the key 0. */
async function provable(origin: string, seq: number) {
  return tokensOf(KEY, { origin, batch: batchId(seq) }, [keysFrom((seq - 5) * ROWS)])
}

function keysFrom(first: number): readonly (readonly string[])[] {
  return Array.from({ length: ROWS }, (_, at) => [String(first + at)])
}

function batchId(seq: number): string {
  return `0e3c2c1a-72a8-4a52-8f0e-${String(seq).padStart(12, '0')}`
}

type Kept = { readonly first: number; readonly key: EvidenceKey; readonly root: Hash }

function draftOf(seq: number, { first, key, root }: Kept): EntryDraft {
  const named = ({ id, check }: EvidenceKey): EntryDraft => {
    return { type: 'keys', use: 'evidence', key: id, check }
  }
  const rule = { rule: 'connection', sha256: DIGEST }
  const done = { target: 'site.connection', action: 'purge' } as const
  if (seq === first) return named(OLD_KEY)
  if (seq === first + 1) return named(KEY)
  if (seq === first + 2) {
    const period = { count: 12, unit: 'month' } as const
    return { type: 'policy', ...rule, set: DIGEST, ...done, ...period, masks: [], archives: [] }
  }
  const run = { type: 'run', run: RUN } as const
  if (seq === first + 3) {
    const cutoff = '2026-11-22T12:00:00.123456Z'
    const plan = { plan: DIGEST, policySet: DIGEST, cutoff, clockAccepted: false }
    return { ...run, phase: 'start', trigger: 'schedule', ...plan }
  }
  if (seq === ENTRIES - 1) {
    const rows = (ENTRIES - first - 5) * ROWS
    return { ...run, phase: 'end', outcome: 'done', totals: [{ ...done, rows }] }
  }
  return {
    type: 'batch',
    run: RUN,
    batch: batchId(key === KEY ? seq : 0),
    policy: { ...rule, seq: first + 2 },
    ...done,
    method: 'sql-delete',
    reason: 'schedule',
    day: '2026-11-22',
    firstDayNotDue: '2025-11-22',
    children: [],
    rows: ROWS,
    evidence: { alg: 'pj1', key: key.id, root },
  }
}
