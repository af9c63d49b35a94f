import { Writable } from 'node:stream'
import { expect, test } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { openLogStream } from '../../src/cli/log-stream.ts'

/** A reader that takes nothing until it is told to. */
function stuck() {
  const read: string[] = []
  const state = { go: () => {} }
  const stream = new Writable({
    highWaterMark: 1,
    write: (chunk: Buffer, _encoding, done) => {
      read.push(chunk.toString())
      state.go = done
    },
  })
  const drain = async (): Promise<void> => {
    while (stream.writableLength > 0) {
      state.go()
      await Promise.resolve()
    }
  }
  return { stream, read, drain }
}

test('a log that nobody reads drops what is too much, and says how much once it is read again', async () => {
  const { stream, read, drain } = stuck()
  const { write } = openLogStream(stream, systemClock, 100)
  const lines = Array.from({ length: 50 }, (_, n) => `{"n":${n}}\n`.padStart(20, ' '))

  for (const line of lines) write(line)
  await drain()
  write('{"msg":"later"}\n')
  await drain()

  expect(read.slice(0, 5)).toEqual(lines.slice(0, 5))
  expect(read.slice(5).map((line) => JSON.parse(line) as unknown)).toMatchObject([
    { level: 40, lines: 45 },
    { msg: 'later' },
  ])
})
