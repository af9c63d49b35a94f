import { systemClock } from '../../src/base/clock.ts'
import type { LogFields } from '../../src/base/log.ts'
import { runDaemon, type DaemonOptions } from '../../src/daemon/daemon.ts'
import type { SetAlarm } from '../../src/daemon/schedule.ts'
import { connect } from '../../src/db/connect.ts'
import { readKeyFile } from '../../src/journal/key-file.ts'
import { valueOf } from '../../src/plan/prepare.ts'
import { loadPolicies } from '../../src/policy/load.ts'
import type { Environment } from '../cli/program.ts'

/** A daemon inside this process, whose alarm the test rings. */
export async function openDaemon(env: Environment, over: Partial<DaemonOptions> = {}) {
  const given = (name: string): string => env[`RETENTIOND_${name}`] ?? ''
  const stopping = new AbortController()
  const connection = connect(given('DATABASE_URL'), { max: 3 })
  const said: { readonly fields: LogFields; readonly message: string }[] = []
  const heard = new EventTarget()
  const note = (fields: LogFields, message: string) => {
    said.push({ fields, message })
    heard.dispatchEvent(new Event(message))
  }
  const alarms = new Set<() => void>()
  const setAlarm: SetAlarm = (_schedule, wake) => {
    alarms.add(wake)
    return { next: null, stop: async () => void alarms.delete(wake) }
  }
  const hear = async (message: string) =>
    new Promise((resolve) => {
      heard.addEventListener(message, resolve, { once: true })
    })
  const ready = hear('ready')
  const load = async () => valueOf(await loadPolicies(given('POLICIES')))
  const reloads: (() => void)[] = []
  const running = runDaemon({
    connections: 2,
    db: connection.db,
    ask: async () => {},
    set: await load(),
    reload: load,
    onReload: (reload) => reloads.push(reload),
    pseudonyms: null,
    signer: await readKeyFile(given('ENTRY_KEY_FILE')),
    clock: systemClock,
    log: { debug: () => {}, info: note, warn: note, error: note },
    listen: { host: '127.0.0.1', port: 0 },
    powerfulRole: 'refuse',
    setAlarm,
    signal: stopping.signal,
    ...over,
  })
  await Promise.race([ready, running])
  const port = said.find(({ message }) => message === 'ready')?.fields['port']
  return {
    said,
    hear,
    reload: async (message: string) => {
      const answer = hear(message)
      for (const each of reloads) each()
      await answer
    },
    /** Rings, and waits until the daemon says `message`. */
    ring: async (message: string) => {
      const answer = hear(message)
      for (const wake of alarms) wake()
      await answer
    },
    told: async () => (await fetch(`http://127.0.0.1:${String(port)}/readyz`)).json(),
    readiness: async () => (await fetch(`http://127.0.0.1:${String(port)}/readyz`)).status,
    [Symbol.asyncDispose]: async () => {
      stopping.abort()
      await running
      await connection[Symbol.asyncDispose]()
    },
  }
}
