import { defineConfig } from 'vitest/config'

/**
 * What depends most on the server: catalog, plan reading, batches, migrations, the guards of the
 * journal. The majors between the oldest and the newest run this; all of it would not fit in CI.
 */
const SERVER = [
  'test/catalog/**/*.pg.test.ts',
  'test/db/**/*.pg.test.ts',
  'test/enforce/{after,partitions,purge,relationship,strategies,triggers}.pg.test.ts',
  'test/journal/guards.pg.test.ts',
  'test/plan/{condition,reading,starts,trial}.pg.test.ts',
]

/**
 * What takes long and is about our decisions, our process or the network, not about the server: it
 * runs on the newest major only.
 */
const OURS = [
  'test/oracle/**',
  'test/draft/**',
  'test/cli/{approve,archive,checkpoint,coverage,export,refusals}.pg.test.ts',
  'test/enforce/{kill,network,random-interleaving,units}.pg.test.ts',
  'test/plan/census.pg.test.ts',
]

/** The tests that need PostgreSQL run once for each major; the fixture reads `major`. */
const withPostgres = (
  major: 15 | 16 | 17 | 18,
  include = ['test/**/*.pg.test.ts'],
  exclude: readonly string[] = [],
) => ({
  test: {
    name: `pg${major}`,
    include,
    exclude: [...exclude],
    globalSetup: ['test/support/server.ts'],
    provide: { major },
    testTimeout: 120_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
  },
})

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/**/*.pg.test.ts', 'test/container/**'],
          // A guard against hanging, not a measurement: a machine may be busy with other things.
          testTimeout: 60_000,
        },
      },
      withPostgres(15, undefined, OURS),
      withPostgres(16, SERVER),
      withPostgres(17, SERVER),
      withPostgres(18),
      {
        test: {
          name: 'container',
          include: ['test/container/**/*.test.ts'],
          // One build at a time: they share the engine's cache and the two cores.
          fileParallelism: false,
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
})
