import { defineConfig } from 'vitest/config'

/** The tests that need PostgreSQL run once for each major; the fixture reads `major`. */
const withPostgres = (major: 15 | 18) => ({
  test: {
    name: `pg${major}`,
    include: ['test/**/*.pg.test.ts'],
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
      withPostgres(15),
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
