import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { parseConfig } from '../../src/cli/config.ts'
import { readSecret, type CliContext } from '../../src/cli/context.ts'
import { renderFailure } from '../../src/cli/failure.ts'
import { runProgram } from '../../src/cli/program.ts'

export type Environment = Readonly<Record<string, string>>

/** What became of a command: its exit status, what it printed, and what it said. */
export type Ended = { readonly status: number | null; readonly out: string; readonly err: string }

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

/** Node compiles the sources once for all the processes of a user, not for each: half of their start. */
const COMPILED = join(tmpdir(), `retentiond-compiled-${process.getuid?.() ?? 'user'}`)

/** Starts the program as a process of its own, with nothing in its environment but `env`. */
export function start(
  args: readonly string[],
  env: Environment,
  stdio: StdioOptions = ['ignore', 'pipe', 'pipe'],
): ChildProcess {
  return spawn(process.execPath, [MAIN, ...args], { env: surroundings(env), stdio })
}

/** As `start`, at a terminal of its own: what is written to stdin is typed there. */
export function startAtTerminal(args: readonly string[], env: Environment): ChildProcess {
  const command = ['exec', process.execPath, MAIN, ...args].join(' ')
  return spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
    env: surroundings(env),
    stdio: ['pipe', 'pipe', 'pipe'],
  })
}

function surroundings(env: Environment): Environment {
  return { PATH: process.env['PATH'] ?? '', NODE_COMPILE_CACHE: COMPILED, ...env }
}

/** Runs the program as a process of its own, to its end. */
export async function retentiond(args: readonly string[], env: Environment): Promise<Ended> {
  const child = start(args, env)
  const out: string[] = []
  const err: string[] = []
  child.stdout?.setEncoding('utf8').on('data', (text: string) => out.push(text))
  child.stderr?.setEncoding('utf8').on('data', (text: string) => err.push(text))
  const status = await exitOf(child)
  return { status, out: out.join(''), err: err.join('') }
}

/** The exit status, once everything that was printed has been read. */
export async function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
}

/** As `retentiond`, inside this process: for the many commands that end before they do anything. */
export async function runInside(args: readonly string[], env: Environment): Promise<Ended> {
  const out: string[] = []
  const err: string[] = []
  const ended = { status: 0 }
  const context: CliContext = {
    config: () => parseConfig(env, readSecret),
    out: (text) => out.push(text),
    err: (text) => err.push(text),
    terminal: false,
    clock: systemClock,
    log: () => silentLog,
    stopSignal: () => new AbortController().signal,
    cutSignal: () => new AbortController().signal,
    onReload: () => {},
    exit: (status) => {
      ended.status = status
    },
  }
  try {
    await runProgram(context, args)
  } catch (error) {
    const { text, exit } = renderFailure(error)
    err.push(text)
    ended.status = exit
  }
  return { status: ended.status, out: out.join(''), err: err.join('') }
}
