/** Ends the statement of a client from outside, by a connection of its own as the protocol wants it. */
import { connect as dial } from 'node:net'
import type { PoolClient } from 'pg'

/** What a session is known by; node-postgres has it, and its types leave it out. */
type Session = {
  readonly host: string
  readonly port: number
  readonly processID: number | null
  readonly secretKey: number | null
}

const CANCEL_REQUEST = 80_877_102

/** The server ends what the client is at, if it is at something; there is no answer to it. */
export function cancelStatement(client: PoolClient): void {
  const { host, port, processID, secretKey } = client as unknown as Session
  if (processID === null || secretKey === null) return
  const request = Buffer.alloc(16)
  for (const [at, word] of [request.length, CANCEL_REQUEST, processID, secretKey].entries()) {
    request.writeInt32BE(word, 4 * at)
  }
  const socket = host.startsWith('/') ? dial(`${host}/.s.PGSQL.${port}`) : dial(port, host)
  // Who cannot be reached does not go on with the statement for us either.
  socket.on('error', () => {})
  socket.end(request)
}
