import { serve } from '@hono/node-server'
import type { Hono } from 'hono'
import { ConfigError } from '../base/errors.ts'

export interface HttpServer extends AsyncDisposable {
  readonly port: number
}

/** Serves the app until disposed of; requests in hand are answered first. */
export async function openHttp(
  app: Hono,
  listen: { readonly host: string; readonly port: number },
): Promise<HttpServer> {
  return new Promise((resolve, reject) => {
    const server = serve(
      { fetch: app.fetch, hostname: listen.host, port: listen.port },
      ({ port }) =>
        resolve({
          port,
          [Symbol.asyncDispose]: async () =>
            new Promise((closed) => {
              server.close(() => closed())
              if ('closeIdleConnections' in server) server.closeIdleConnections()
            }),
        }),
    )
    server.once('error', (error) => {
      reject(
        new ConfigError(`cannot listen on ${listen.host}:${listen.port}`, {
          cause: error,
          remedy: 'set RETENTIOND_LISTEN to an address and port that are free',
        }),
      )
    })
  })
}
