import type { TestProject } from 'vitest/node'
import { startPostgres, type Major } from '../../deploy/embedded/postgres.ts'

declare module 'vitest' {
  interface ProvidedContext {
    major: Major
    /** Connection string of the superuser on the project's server. */
    superuserUrl: string
  }
}

/** Starts one server for a project, and stops it after its last test. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { major } = project.config.provide as { readonly major: Major }
  const server = await startPostgres({ major })
  project.provide('superuserUrl', server.url())
  return async () => server[Symbol.asyncDispose]()
}
