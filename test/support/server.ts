import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { startPostgres, type Major } from '../../deploy/embedded/postgres.ts'

declare module 'vitest' {
  interface ProvidedContext {
    major: Major
    /** Connection string of the superuser on the project's server. */
    superuserUrl: string
    /** What the project's server logs. */
    serverLog: string
  }
}

/** Starts one server for a project, and stops it after its last test. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { major } = project.config.provide as { readonly major: Major }
  const settings = ['shared_preload_libraries=pg_stat_statements']
  const server = await startPostgres({ major, settings, keepsLog: true, inMemory: true })
  project.provide('superuserUrl', server.url())
  project.provide('serverLog', join(server.folder, 'log'))
  return async () => server[Symbol.asyncDispose]()
}
