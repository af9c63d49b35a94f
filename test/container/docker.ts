import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** The root of the project: the context of every build. */
export const ROOT = new URL('../../', import.meta.url).pathname

export type Output = { readonly stdout: string; readonly stderr: string }

/** Runs `docker …`; rejects with what it printed if it fails. */
export async function docker(...args: readonly string[]): Promise<Output> {
  return run('docker', args, { cwd: ROOT, maxBuffer: 64 * 1024 * 1024 })
}

/** Runs compose, the plugin or the older program of its own. */
export async function compose(env: NodeJS.ProcessEnv, ...args: readonly string[]): Promise<Output> {
  const [command, first] = await composeCommand()
  return run(command, [...first, ...args], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    maxBuffer: 64 * 1024 * 1024,
  })
}

async function composeCommand(): Promise<readonly [string, readonly string[]]> {
  return run('docker', ['compose', 'version']).then(
    () => ['docker', ['compose']],
    () => ['docker-compose', []],
  )
}
