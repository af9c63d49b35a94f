import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** What takes a minute or more comes first: at the end one core would wait for it. */
const LONGEST = /\/test\/(oracle\/|enforce\/(kill|interleaving|faults|random-interleaving))/

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const long = sorted.filter(({ moduleId }) => LONGEST.test(moduleId))
    return [...long, ...sorted.filter((each) => !long.includes(each))]
  }
}

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

/** On the oldest major also what people do with it: the journal, holds, the demo, the daemon. */
const OLDEST = [
  ...SERVER,
  'test/{anchor,demo,foreign,hold,journal}/**/*.pg.test.ts',
  'test/daemon/daemon.pg.test.ts',
  'test/cli/succeed.pg.test.ts',
  'test/enforce/{block,deadlock,drop,evidence,fold,lease,references,rows,shape-interleaving,takeover,tree}.pg.test.ts',
  'test/plan/{frames,sentinels,settings,time}.pg.test.ts',
]

/** The tests that need PostgreSQL run once for each major; the fixture reads `major`. */
const withPostgres = (
  major: 15 | 16 | 17 | 18,
  include: readonly string[] = ['test/**/*.pg.test.ts'],
) => ({
  test: {
    name: `pg${major}`,
    include: [...include],
    globalSetup: ['test/support/server.ts'],
    provide: { major },
    testTimeout: 120_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
  },
})

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
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
      withPostgres(15, OLDEST),
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
