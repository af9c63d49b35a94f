import { Hono } from 'hono'

export type Readiness = {
  readonly database: boolean
  readonly policies: boolean
  readonly journal: boolean
  /** False is a finding for people: every rule runs all the same. */
  readonly covered: boolean
}

/** `/livez`: the process can answer. `/readyz`: it could carry out a run now. */
export function healthApp(readiness: () => Promise<Readiness>): Hono {
  const app = new Hono()
  app.get('/livez', (c) => c.json({ live: true }))
  app.get('/readyz', async (c) => {
    const found = await readiness()
    const ready = found.database && found.policies && found.journal
    return c.json({ ready, ...found }, ready ? 200 : 503)
  })
  return app
}
