/**
 * Where the log goes: to a reader that may be slow, stuck or gone. It is never waited for, since a
 * batch holds locks meanwhile; lines that it does not take are dropped, counted, and told of later.
 */
import type { Writable } from 'node:stream'
import type { Clock } from '../base/clock.ts'

export type LogStream = { readonly write: (line: string) => void }

/** So much is kept for a reader that is slow: some thousands of lines. */
const MOST_BYTES = 1024 * 1024

/** Writes lines of pino, each a JSON object, to a stream. */
export function openLogStream(stream: Writable, clock: Clock, mostBytes = MOST_BYTES): LogStream {
  let dropped = 0
  return {
    write: (line) => {
      if (stream.writableLength + line.length > mostBytes) {
        dropped += 1
        return
      }
      if (dropped > 0) {
        stream.write(lineOf(dropped, clock))
        dropped = 0
      }
      stream.write(line)
    },
  }
}

function lineOf(dropped: number, clock: Clock): string {
  const line = { level: 40, time: clock.now().getTime(), name: 'retentiond', lines: dropped }
  return `${JSON.stringify({ ...line, msg: 'lines of the log were dropped: nobody read them' })}\n`
}
