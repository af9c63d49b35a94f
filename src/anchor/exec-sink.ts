/** A command that takes the note on stdin and gives a receipt on stdout: a time stamp, a mail, a printer. */
import { spawn } from 'node:child_process'
import { SinkError } from '../base/errors.ts'
import type { Sink } from './sink.ts'

export type ExecSinkOptions = {
  readonly name: string
  readonly required: boolean
  /** Program and arguments; no shell reads them. */
  readonly command: readonly string[]
  readonly timeoutMs: number
}

const MOST_RECEIPT_BYTES = 48 * 1024
/** Ours has the password of the database; a command gets a path, and nothing else of it. */
const ENVIRONMENT = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' }

export function execSink({ name, required, command, timeoutMs }: ExecSinkOptions): Sink {
  return {
    name,
    required,
    accept: async ({ note }) => {
      const receipt = await run(name, command, { input: note, timeoutMs })
      // A time stamp is binary; text stays readable.
      const text = receipt.toString()
      const isText = Buffer.from(text).equals(receipt) && !text.includes('\0')
      return { receipt: receipt.length === 0 ? null : isText ? text : receipt.toString('base64') }
    },
  }
}

type Run = { readonly input: string; readonly timeoutMs: number }

/** What it says on stderr is its own: it may hold a secret, and stays out of our log. */
async function run(name: string, command: readonly string[], asked: Run): Promise<Buffer> {
  const [program = '', ...args] = command
  return new Promise((resolve, reject) => {
    const fail = (what: string): void =>
      reject(
        new SinkError(`sink ${name}: its command ${what}`, { remedy: 'run the command by hand' }),
      )
    const child = spawn(program, args, {
      env: ENVIRONMENT,
      stdio: ['pipe', 'pipe', 'ignore'],
      signal: AbortSignal.timeout(asked.timeoutMs),
      killSignal: 'SIGKILL',
    })
    const answer: Buffer[] = []
    let bytes = 0
    child.stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= MOST_RECEIPT_BYTES) answer.push(chunk)
    })
    child.stdin.on('error', () => {
      // It may answer without reading: how it ends says whether it took the note.
    })
    child.once('error', (error: NodeJS.ErrnoException) =>
      fail(
        error.name === 'AbortError' ? 'took too long' : `could not be run (${error.code ?? ''})`,
      ),
    )
    child.once('close', (status) => {
      if (status !== 0) fail(`ended with status ${status ?? 'of a signal'}`)
      else if (bytes > MOST_RECEIPT_BYTES) fail('gave more than 48 KB as a receipt')
      else resolve(Buffer.concat(answer))
    })
    child.stdin.end(asked.input)
  })
}
