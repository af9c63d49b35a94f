import { once } from 'node:events'
import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { exitOf, retentiond, start } from './program.ts'

test('the process ends with the status of its command, and says why on stderr only', async () => {
  const ended = await retentiond(['validate', '/nowhere'], { RETENTIOND_POLICIES: '/elsewhere' })

  expect(ended).toMatchObject({ status: 78, out: '' })
  expect(ended.err).toContain('/nowhere')
})

test('a reader that closes early is no error', async () => {
  const child = start(['schema'], {})
  const said: string[] = []
  child.stderr?.setEncoding('utf8').on('data', (text: string) => said.push(text))
  child.stdout?.destroy()

  expect(await exitOf(child)).toBe(0)
  expect(said.join('')).toBe('')
})

/** Takes connections and never answers, as a database behind a dead firewall does. */
test.for([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s ends at once what has no batch to finish', async ([signal, status]) => {
  await using silent = createServer((socket) => socket.resume().on('error', () => {}))
  silent.listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const address = silent.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const child = start(['journal', 'list'], {
    RETENTIOND_DATABASE_URL: `postgresql://daemon@127.0.0.1:${port}/crm`,
  })

  await once(silent, 'connection')
  child.kill(signal)

  expect(await exitOf(child)).toBe(status)
})
