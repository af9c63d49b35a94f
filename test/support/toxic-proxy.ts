/** A way to the server on which a test does what networks do: the seven toxics of Toxiproxy. */
import { once } from 'node:events'
import { connect as dial, createServer, type Server, type Socket } from 'node:net'
import { Transform, type TransformCallback } from 'node:stream'

export type Toxic =
  /** Every piece comes so much later. */
  | { readonly kind: 'latency'; readonly ms: number }
  | { readonly kind: 'bandwidth'; readonly bytesPerSecond: number }
  /** A connection that is closed stays half open for so long. */
  | { readonly kind: 'slow close'; readonly ms: number }
  /** Nothing comes any more, and nobody says so. */
  | { readonly kind: 'black hole' }
  | { readonly kind: 'reset' }
  /** Answers come in pieces of so many bytes. */
  | { readonly kind: 'slices'; readonly bytes: number }
  /** The connection is closed after so many bytes of answers. */
  | { readonly kind: 'limit'; readonly bytes: number }
  /** Connections are refused, and those that are open closed. */
  | { readonly kind: 'down' }

export interface ToxicProxy extends AsyncDisposable {
  readonly url: string
  /** From here on the way is like this, for connections that are open too; null heals it. */
  poison(toxic: Toxic | null): Promise<void>
  /** Calls `act` when a connection sends `text` next. */
  when(text: string, act: () => void): void
}

/** Opens a way to the server of `url`. */
export async function openToxicProxy(url: string): Promise<ToxicProxy> {
  const target = new URL(url)
  const proxy = new OpenProxy(Number(target.port), target.hostname)
  const port = await proxy.listen(0)
  const through = new URL(url)
  through.host = `127.0.0.1:${port}`
  return {
    url: through.href,
    poison: async (toxic) => proxy.poison(toxic),
    when: (text, act) => proxy.when(text, act),
    [Symbol.asyncDispose]: async () => proxy.close(),
  }
}

class OpenProxy {
  readonly #target: readonly [number, string]
  readonly #links = new Set<readonly [Socket, Socket]>()
  #server: Server | null = null
  #port = 0
  #toxic: Toxic | null = null
  #awaited: { readonly text: string; readonly act: () => void } | null = null

  constructor(port: number, host: string) {
    this.#target = [port, host]
  }

  async listen(port: number): Promise<number> {
    this.#server = createServer((client) => this.#link(client))
    this.#server.listen(port, '127.0.0.1')
    await once(this.#server, 'listening')
    const address = this.#server.address()
    this.#port = typeof address === 'object' && address !== null ? address.port : 0
    return this.#port
  }

  async poison(toxic: Toxic | null): Promise<void> {
    const wasDown = this.#toxic?.kind === 'down'
    this.#toxic = toxic
    if (toxic?.kind === 'down') await this.close()
    else if (wasDown) await this.listen(this.#port)
    if (toxic?.kind === 'reset') {
      for (const link of this.#links) for (const socket of link) socket.resetAndDestroy()
    }
  }

  when(text: string, act: () => void): void {
    this.#awaited = { text, act }
  }

  async close(): Promise<void> {
    for (const link of this.#links) for (const socket of link) socket.destroy()
    if (this.#server?.listening !== true) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    await closed
  }

  #link(client: Socket): void {
    const upstream = dial(...this.#target)
    const link = [client, upstream] as const
    this.#links.add(link)
    for (const socket of link) socket.setNoDelay(true).on('error', () => {})
    client.pipe(this.#asking()).pipe(upstream, { end: false })
    upstream.pipe(this.#answering(client)).pipe(client, { end: false })
    const over = (other: Socket) => (): void => {
      this.#links.delete(link)
      const toxic = this.#toxic
      // Whoever is left in a black hole never learns that the other one went.
      if (toxic?.kind === 'black hole') return
      if (toxic?.kind === 'slow close') setTimeout(() => other.destroy(), toxic.ms).unref()
      else other.destroy()
    }
    client.on('close', over(upstream))
    upstream.on('close', over(client))
  }

  #asking(): Transform {
    return new Transform({
      transform: (data: Buffer, _encoding, done) => {
        const awaited = this.#awaited
        if (awaited !== null && data.toString('latin1').toLowerCase().includes(awaited.text)) {
          this.#awaited = null
          awaited.act()
        }
        this.#pass(data, done)
      },
    })
  }

  #answering(client: Socket): Transform {
    let bytes = 0
    const answers: Transform = new Transform({
      transform: (data: Buffer, _encoding, done) => {
        const toxic = this.#toxic
        bytes += data.length
        if (toxic?.kind === 'limit' && bytes > toxic.bytes) {
          client.destroy()
          done()
          return
        }
        if (toxic?.kind === 'slices') {
          for (let at = 0; at < data.length; at += toxic.bytes) {
            answers.push(data.subarray(at, at + toxic.bytes))
          }
          done()
          return
        }
        this.#pass(data, done)
      },
    })
    return answers
  }

  #pass(data: Buffer, done: TransformCallback): void {
    const toxic = this.#toxic
    if (toxic?.kind === 'black hole') done()
    else if (toxic?.kind === 'latency') setTimeout(() => done(null, data), toxic.ms)
    else if (toxic?.kind === 'bandwidth') {
      setTimeout(() => done(null, data), (1000 * data.length) / toxic.bytesPerSecond)
    } else done(null, data)
  }
}
