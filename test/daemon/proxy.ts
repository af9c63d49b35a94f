import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

/** A way to the database that a test can cut and mend. */
export interface Proxy extends AsyncDisposable {
  readonly port: number
  /** Drops every connection and refuses new ones. */
  cut(): Promise<void>
  mend(): Promise<void>
}

export async function openProxy(to: {
  readonly host: string
  readonly port: number
}): Promise<Proxy> {
  const sockets = new Set<Socket>()
  const listen = async (port: number): Promise<Server> => {
    const server = createServer((client) => {
      const upstream = connect(to.port, to.host)
      for (const socket of [client, upstream]) {
        sockets.add(socket)
        socket.on('error', () => {})
        socket.on('close', () => sockets.delete(socket))
      }
      client.pipe(upstream).pipe(client)
    })
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    return server
  }
  let server = await listen(0)
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const cut = async () => {
    if (!server.listening) return
    const closed = once(server, 'close')
    server.close()
    for (const socket of sockets) socket.destroy()
    await closed
  }
  return {
    port,
    cut,
    mend: async () => {
      server = await listen(port)
    },
    [Symbol.asyncDispose]: cut,
  }
}
