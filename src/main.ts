#!/usr/bin/env node
/** Arguments, environment and signals come in here and nowhere else; an exit status goes out. */
import { readFileSync } from 'node:fs'
import { pino } from 'pino'
import { systemClock } from './base/clock.ts'
import { EXIT, PolicyError, RetentionError, tell, type ExitStatus } from './base/errors.ts'
import type { Log } from './base/log.ts'
import { parseConfig, type Config } from './cli/config.ts'
import { fileError, type CliContext } from './cli/context.ts'
import { runProgram } from './cli/program.ts'
import { renderProblems } from './policy/render.ts'

const stopping = new AbortController()
const received = { signals: 0 }

for (const [name, number] of [
  ['SIGINT', 2],
  ['SIGTERM', 15],
] as const) {
  process.on(name, () => {
    received.signals += 1
    if (received.signals === 1) {
      process.stderr.write('stopping after the batch in hand; once more to stop at once\n')
      stopping.abort()
      return
    }
    // The open transaction is rolled back by the server when the connection goes.
    process.exit(128 + number)
  })
}

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
  log: () => (log ??= pino({ level: context.config().logLevel, base: { name: 'retentiond' } })),
  signal: stopping.signal,
  exit: (status) => {
    process.exitCode = status
  },
}

try {
  await runProgram(context, process.argv.slice(2))
} catch (error) {
  if (error !== undefined) process.exitCode = report(error)
}

function report(error: unknown): ExitStatus {
  if (error instanceof PolicyError) {
    process.stderr.write(renderProblems(error.problems))
    process.stderr.write(`${error.problems.length} problem(s); nothing was done\n`)
    return error.exit
  }
  const { name, code, message, remedy, at } = tell(error)
  process.stderr.write(
    `retentiond: ${message ?? `unexpected ${name}${code === undefined ? '' : ` ${code}`}`}\n`,
  )
  if (remedy !== undefined) process.stderr.write(`  ${remedy}\n`)
  for (const frame of at ?? []) process.stderr.write(`    ${frame}\n`)
  return error instanceof RetentionError ? error.exit : EXIT.failed
}

function readSecret(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw fileError(file, 'read', error)
  }
}
