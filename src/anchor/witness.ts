/**
 * A witness of C2SP (tlog-witness): it remembers the newest checkpoint of each journal that it was
 * told of, and signs the next one only if that continues it. One process, one file.
 */
import { Hono } from 'hono'
import type { Clock } from '../base/clock.ts'
import { ConfigError } from '../base/errors.ts'
import { openCheckpoint, type Checkpoint } from '../journal/checkpoint.ts'
import { checkConsistency, parseTreeHead, printTreeHead, type TreeHead } from '../journal/merkle.ts'
import { parseNote, type Cosigner, type VerifierKey } from '../journal/note.ts'
import { readIfThere, replaceFile } from './state-file.ts'

export type WitnessOptions = {
  /** As the key is called: a domain of whoever runs it. */
  readonly name: string
  readonly key: Cosigner
  /** The checkpoint keys that it knows; each is called as its journal. */
  readonly logs: readonly VerifierKey[]
  /** The one file of its state. */
  readonly state: string
  readonly clock: Clock
}

/** What is said to a request. A size comes with 409, in the type that the protocol has for it. */
export type Answer = { readonly status: 200 | 400 | 403 | 404 | 409 | 422; readonly text: string }

export interface Witness {
  addCheckpoint(body: string): Promise<Answer>
}

/** A proof of the largest tree there can be has 63 hashes; a note has at most 64 KB. */
const MOST_BODY_BYTES = 72 * 1024
const MOST_HASHES = 63

/** Opens a witness on its file; one answer at a time, so that its state never goes back. */
export async function openWitness(options: WitnessOptions): Promise<Witness> {
  const seen = await readSeen(options.state)
  let before: Promise<unknown> = Promise.resolve()
  return {
    addCheckpoint: async (body) => {
      const answer = before.then(async () => answerTo(options, seen, body))
      before = answer.catch(() => {
        // Told to whoever asked; the next one is answered all the same.
      })
      return answer
    },
  }
}

/** The HTTP face of a witness. */
export function witnessApp(witness: Witness): Hono {
  const app = new Hono()
  app.post('/add-checkpoint', async (c) => {
    const body = await readAtMost(c.req.raw.body, MOST_BODY_BYTES)
    if (body === null) return c.text('too long\n', 413)
    const { status, text } = await witness.addCheckpoint(body)
    const type = status === 409 ? 'text/x.tlog.size' : 'text/plain; charset=utf-8'
    return c.body(text, status, { 'content-type': type })
  })
  return app
}

async function readAtMost(
  body: ReadableStream<Uint8Array> | null,
  most: number,
): Promise<string | null> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body ?? []) {
    bytes += chunk.length
    if (bytes > most) return null
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

type Asked = { readonly old: number; readonly proof: readonly Buffer[]; readonly note: string }

async function answerTo(
  { name, key, logs, state, clock }: WitnessOptions,
  seen: Map<string, TreeHead>,
  body: string,
): Promise<Answer> {
  const asked = parseRequest(body)
  const note = asked === null ? null : parseNote(asked.note)
  if (asked === null || note === null) return { status: 400, text: 'malformed\n' }
  const origin = note.text.slice(0, note.text.indexOf('\n'))
  const keys = logs.filter((log) => log.name === origin)
  if (keys.length === 0) return { status: 404, text: 'unknown journal\n' }
  const opened = openCheckpoint(asked.note, keys)
  if (opened.fault === 'malformed') return { status: 400, text: 'malformed\n' }
  if (opened.fault !== undefined) return { status: 403, text: 'no signature of a known key\n' }
  const { checkpoint } = opened
  const last = seen.get(origin) ?? null
  const refused = judge(asked, checkpoint, last)
  if (refused !== null) return refused
  const { size, root } = checkpoint
  // On the disk first: what was signed must never be forgotten.
  const next = new Map(seen).set(origin, { size, root })
  await replaceFile(state, printSeen(next))
  seen.set(origin, { size, root })
  const time = Math.floor(clock.now().getTime() / 1000)
  const signature = key.cosign(name, Buffer.from(note.text), time).toString('base64')
  return { status: 200, text: `— ${name} ${signature}\n` }
}

/** In the order of the protocol: a request that makes no sense, one behind, one that forks. */
function judge(asked: Asked, next: Checkpoint, last: TreeHead | null): Answer | null {
  if (asked.old > next.size) return { status: 400, text: 'the old size is larger\n' }
  const size = last?.size ?? 0
  if (asked.old !== size) return { status: 409, text: `${size}\n` }
  const continued =
    last === null ? asked.proof.length === 0 : checkConsistency(last, next, asked.proof)
  return continued ? null : { status: 422, text: 'it does not continue what was signed\n' }
}

/** Reads `old SIZE`, a line for each hash, an empty line, and the note. */
function parseRequest(body: string): Asked | null {
  const end = body.indexOf('\n\n')
  if (end < 0) return null
  const [first = '', ...hashes] = body.slice(0, end).split('\n')
  const [, size] = /^old (0|[1-9]\d{0,14})$/.exec(first) ?? []
  const proof = hashes.map((line) => Buffer.from(line, 'base64'))
  const spelled = proof.every(
    (hash, at) => hash.length === 32 && hash.toString('base64') === hashes[at],
  )
  if (size === undefined || !spelled || proof.length > MOST_HASHES) return null
  return { old: Number(size), proof, note: body.slice(end + 2) }
}

async function readSeen(path: string): Promise<Map<string, TreeHead>> {
  const seen = new Map<string, TreeHead>()
  const text = await readIfThere(path)
  for (const line of (text ?? '').split('\n').filter((each) => each !== '')) {
    const [origin = '', head = ''] = line.split(' ')
    const parsed = parseTreeHead(head)
    if (parsed === null) {
      throw new ConfigError(`${path} is no state of a witness`, {
        remedy: 'restore it; a witness that begins anew has forgotten what it signed',
      })
    }
    seen.set(origin, parsed)
  }
  return seen
}

/** One line for each journal: its origin and `SIZE:ROOT`. */
function printSeen(seen: ReadonlyMap<string, TreeHead>): string {
  return [...seen].map(([origin, head]) => `${origin} ${printTreeHead(head)}\n`).join('')
}
