/** What memory a run takes: the program as it ships, in a process of its own, with the system's own peak. */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BENCH_SECRET, grantFor, policyOf, policySetOf, type Ours } from './ours.ts'
import type { Place } from './place.ts'

const ROOT = new URL('..', import.meta.url).pathname

/** As in the image. */
const NODE_OPTIONS = /NODE_OPTIONS="([^"]+)"/.exec(
  readFileSync(new URL('../Dockerfile', import.meta.url), 'utf8'),
)?.[1]

export type Peak = { readonly command: string; readonly mib: number; readonly seconds: number }

/** Plans and enforces in processes; the table is there already. */
export async function measureMemory(place: Place, ours: Ours): Promise<readonly Peak[]> {
  compile()
  await grantFor(place, policySetOf(ours))
  const folder = mkdtempSync(join(tmpdir(), 'retentiond-memory-'))
  try {
    const file = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text, { mode: 0o600 })
      return join(folder, name)
    }
    file('policy.yaml', policyOf(ours))
    const env = {
      PATH: process.env['PATH'],
      NODE_OPTIONS,
      RETENTIOND_DATABASE_URL: place.programUrl,
      RETENTIOND_POLICIES: folder,
      RETENTIOND_ENTRY_KEY_FILE: file('entry.key', place.entryKey),
      RETENTIOND_CONNECTIONS: String(ours.connections),
      ...(ours.evidence === 'rows'
        ? {
            RETENTIOND_EVIDENCE_KEY_FILE: file(
              'evidence.key',
              `bench ${BENCH_SECRET.toString('hex')}\n`,
            ),
          }
        : {}),
    }
    const plan = join(folder, 'plan.json')
    return [await peakOf(['plan', '-o', plan], env), await peakOf(['enforce', '--plan', plan], env)]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function compile(): void {
  const { status, stderr } = spawnSync(
    process.execPath,
    ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'],
    { cwd: ROOT, encoding: 'utf8' },
  )
  if (status !== 0) throw new Error(`the program did not compile: ${stderr}`)
}

/** Runs a command to its end and says how much of it was resident at most, as Linux counts it. */
async function peakOf(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<Peak> {
  const began = performance.now()
  const child = spawn(process.execPath, ['dist/main.js', ...args], {
    cwd: ROOT,
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => {
    said = `${said}${chunk.toString()}`.slice(-2000)
  })
  let kib = 0
  const looking = setInterval(() => {
    kib = Math.max(kib, highWaterKib(child.pid))
  }, 20)
  const exit = await new Promise<number | null>((resolve) => {
    child.on('close', resolve)
  })
  clearInterval(looking)
  if (exit !== 0) throw new Error(`retentiond ${args[0]} ended with ${exit}: ${said}`)
  return {
    command: args[0] ?? '',
    mib: Math.round(kib / 1024),
    seconds: (performance.now() - began) / 1000,
  }
}

/** 0 once the process is gone: what was read before stands, since the mark only rises. */
function highWaterKib(pid: number | undefined): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0)
  } catch {
    return 0
  }
}
