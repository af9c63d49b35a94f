#!/usr/bin/env node
/** Arguments, environment and signals come in here and nowhere else; an exit status goes out. */
import { pino } from 'pino'
import { systemClock } from './base/clock.ts'
import type { Log } from './base/log.ts'
import { parseConfig, type Config } from './cli/config.ts'
import { readSecret, type CliContext } from './cli/context.ts'
import { renderFailure } from './cli/failure.ts'
import { openLogStream } from './cli/log-stream.ts'
import { runProgram } from './cli/program.ts'

const stopping = new AbortController()
const cutting = new AbortController()
/** Set by a command that stops by itself; before that, a signal just ends the process. */
const state = { stopsByItself: false, cutsByItself: false }

/** So long a run that was cut short may take to say so in the journal. */
const CUT_MS = 3000
/** So long what was logged may take on its way when the daemon has stopped. */
const LOGGED_MS = 2000

for (const [name, number] of [
  ['SIGINT', 2],
  ['SIGTERM', 15],
] as const) {
  process.on(name, () => {
    if (state.stopsByItself && !stopping.signal.aborted) {
      // A terminal stands in the middle of a line: that of the progress, or its own ^C.
      if (process.stderr.isTTY) process.stderr.write('\n')
      process.stderr.write('stopping after the batch in hand; once more to stop at once\n')
      stopping.abort()
      return
    }
    // The open transaction is rolled back by the server when the connection goes.
    const leave = (): never => process.exit(128 + number)
    if (!state.cutsByItself || cutting.signal.aborted) leave()
    process.once('exit', () => {
      process.exitCode = 128 + number
    })
    cutting.abort()
    setTimeout(leave, CUT_MS).unref()
  })
}

// Node would print the whole error, and that of PostgreSQL has a detail with values of rows.
process.on('uncaughtException', (error) => {
  const { text, exit } = renderFailure(error)
  process.stderr.write(text)
  process.exit(exit)
})

// A reader that went away (`| head`) is no error of ours.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
}

let config: Config | undefined
let log: Log | undefined

const context: CliContext = {
  config: () => (config ??= parseConfig(process.env, readSecret)),
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  terminal: process.stderr.isTTY && process.env['NO_COLOR'] === undefined,
  clock: systemClock,
  log: () =>
    (log ??= pino(
      { level: context.config().logLevel, base: { name: 'retentiond' } },
      openLogStream(process.stdout, systemClock),
    )),
  stopSignal: () => {
    state.stopsByItself = true
    return stopping.signal
  },
  cutSignal: () => {
    state.cutsByItself = true
    return cutting.signal
  },
  onReload: (reload) => {
    process.on('SIGHUP', reload)
  },
  exit: (status) => {
    process.exitCode = status
  },
}

try {
  await runProgram(context, process.argv.slice(2))
} catch (error) {
  const { text, exit } = renderFailure(error)
  process.stderr.write(text)
  process.exitCode = exit
}

// A reader of the log that is stuck would keep a daemon that has stopped.
if (log !== undefined) setTimeout(() => process.exit(), LOGGED_MS).unref()
