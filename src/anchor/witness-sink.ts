/**
 * A witness of C2SP (tlog-witness): it signs a checkpoint if that continues the one it signed
 * before, and so makes a fork of the journal impossible to hide.
 */
import { RestoredError, SinkError } from '../base/errors.ts'
import type { SignedHead } from '../journal/checkpointer.ts'
import { checkNoteSignature, parseNote, type VerifierKey } from '../journal/note.ts'
import { ANSWER_MS, type JournalSource, type Sink } from './sink.ts'

export type WitnessSinkOptions = {
  readonly name: string
  readonly required: boolean
  /** `add-checkpoint` comes behind it. */
  readonly url: string
  readonly key: VerifierKey
}

/** Sends a request and gives the answer; `fetch`, or a witness in the same process. */
export type Send = (url: string, body: string) => Promise<Response>

const sendByHttp: Send = async (url, body) =>
  fetch(url, {
    method: 'POST',
    body,
    headers: { 'content-type': 'text/plain; charset=utf-8' },
    redirect: 'manual',
    signal: AbortSignal.timeout(ANSWER_MS),
  })

const MOST_ANSWER_BYTES = 64 * 1024

export function witnessSink(options: WitnessSinkOptions, send: Send = sendByHttp): Sink {
  return {
    name: options.name,
    required: options.required,
    accept: async (head, from, journal) => {
      const first = await ask(options, send, { head, from, journal })
      if (typeof first === 'string') return { receipt: first }
      // It knows another size than we do: another one of us told it, or the database forgot.
      const size = await journal.size()
      if (first.size > size) throw ahead(options, first.size, size)
      if (first.size > head.size) {
        throw new SinkError(`witness ${options.name} has a newer checkpoint already`)
      }
      const second = await ask(options, send, { head, from: first.size, journal })
      if (typeof second === 'string') return { receipt: second }
      throw new SinkError(`witness ${options.name} moves while it is asked`)
    },
  }
}

type Asked = {
  readonly head: SignedHead
  readonly from: number
  readonly journal: JournalSource
}

/** The line with which the witness signed; or the size that it knows, if that is another one. */
async function ask(
  options: WitnessSinkOptions,
  send: Send,
  { head, from, journal }: Asked,
): Promise<string | { readonly size: number }> {
  const proof = from === 0 || from === head.size ? [] : await journal.consistency(from, head.size)
  const lines = [`old ${from}`, ...proof.map((hash) => hash.toString('base64')), '', head.note]
  const answer = await send(`${options.url}/add-checkpoint`, lines.join('\n')).catch(
    (error: unknown) => {
      throw new SinkError(`witness ${options.name} did not answer`, {
        cause: error,
        remedy: 'check its address and the network',
      })
    },
  )
  const text = (await answer.text()).slice(0, MOST_ANSWER_BYTES)
  if (answer.status === 200) return cosigned(options, head, text)
  if (answer.status === 409 && /^(0|[1-9]\d{0,14})\n$/.test(text)) return { size: Number(text) }
  if (answer.status === 422) {
    throw new RestoredError(
      'FORKED',
      `witness ${options.name} signed another journal of this name: it was forked`,
      {
        remedy: 'nothing is destroyed; compare with an archive or an export: journal verify --dir',
      },
    )
  }
  throw new SinkError(`witness ${options.name} refused the checkpoint (${answer.status})`, {
    remedy: REMEDIES[answer.status] ?? 'ask who runs it',
  })
}

const REMEDIES: Readonly<Record<number, string>> = {
  403: 'it knows another checkpoint key for this journal: give it the one of journal status',
  404: 'it does not know this journal: give it the checkpoint key of journal status',
}

/** The cosignature among the lines of the answer; an answer without it is worth nothing. */
function cosigned({ name, key }: WitnessSinkOptions, head: SignedHead, text: string): string {
  const note = parseNote(head.note)
  const lines = note === null ? null : parseNote(`${note.text}\n${text}`)
  const line = lines?.signatures.find(
    (each) => each.name === key.name && each.bytes.subarray(0, 4).equals(key.keyId),
  )
  const time =
    note === null || line === undefined
      ? false
      : checkNoteSignature(key, Buffer.from(note.text), line.bytes)
  if (line !== undefined && typeof time === 'number') {
    return `— ${line.name} ${line.bytes.toString('base64')}\n`
  }
  throw new SinkError(`witness ${name} answered without a signature of its key`, {
    remedy: 'compare the key in the configuration with the one that the witness publishes',
  })
}

function ahead({ name }: WitnessSinkOptions, seen: number, size: number): RestoredError {
  return new RestoredError(
    'ROLLED_BACK',
    `witness ${name} has seen ${seen} entries, and the journal has ${size}: it was rolled back`,
    { remedy: 'the database was restored: see retentiond journal recover --help' },
  )
}
