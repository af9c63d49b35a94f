import { hostname } from 'node:os'
import { Command } from 'commander'
import { openArchive } from '../../anchor/archive.ts'
import { readRemembered, requireRemembered } from '../../anchor/guard.ts'
import { acknowledge, recoverFrom, type Recovered } from '../../anchor/recover.ts'
import { ConfigError, UsageError } from '../../base/errors.ts'
import type { Db } from '../../db/connect.ts'
import { releaseLease, takeLease } from '../../db/lease.ts'
import { checkMigrated } from '../../db/migrate.ts'
import { listApprovals } from '../../enforce/standing.ts'
import { missingHolds, renderMissing } from '../../hold/missing.ts'
import { readKeyFile } from '../../journal/key-file.ts'
import { required } from '../config.ts'
import { openConnection, readConfiguredAnchors, type CliContext } from '../context.ts'
import { progressOn } from '../progress.ts'

type Options = {
  readonly from?: string
  readonly ack?: boolean
  readonly trustDatabase?: boolean
}

/** `journal recover`: lets a journal go on after its database was restored or moved. */
export function recoverCommand(context: CliContext): Command {
  return new Command('recover')
    .description('go on after a restore: append what an archive has and the database lost')
    .option('--from <folder>', 'folder of a file sink, a copy of a bucket, or an export')
    .option('--ack', 'the database was moved to this cluster, and is the one to go on with')
    .option('--trust-database', 'nothing outside remembers the journal: go on with it as it is')
    .action(async (options: Options) => {
      const how = wayOf(options)
      const signer = await readKeyFile(required(context.config().entryKeyFile))
      await using connection = await openConnection(context)
      const { db } = connection
      await checkMigrated(db)
      const lease = await takeLease(db, `journal on ${hostname()}, process ${process.pid}`)
      try {
        const recovered = await recover(context, { db, signer, clock: context.clock }, how)
        context.out(told(recovered))
        context.out(await missingOrders(db))
      } finally {
        await releaseLease(db, lease)
      }
    })
}

type Way = { readonly from: string } | 'cluster' | 'trusted'

function wayOf({ from, ack, trustDatabase }: Options): Way {
  const ways: readonly (Way | false)[] = [
    from !== undefined && { from },
    ack === true && 'cluster',
    trustDatabase === true && 'trusted',
  ]
  const [way, ...more] = ways.filter((each) => each !== false)
  if (way !== undefined && more.length === 0) return way
  throw new UsageError('give one of --from, --ack and --trust-database', {
    remedy: 'see docs/operating.md, Backups',
  })
}

type Tools = Parameters<typeof recoverFrom>[0] & { readonly db: Db }

/** An archive has to reach as far as anybody remembers; the other ways take nothing that is missing. */
async function recover(context: CliContext, tools: Tools, way: Way): Promise<Recovered> {
  using progress = progressOn(context)
  const { stateFile } = context.config()
  const { sinks } = await readConfiguredAnchors(context)
  const guarded = { db: tools.db, log: progress.log, stateFile, sinks }
  const remembered = await readRemembered(guarded)
  if (way === 'trusted' && remembered.length > 0) {
    throw new ConfigError(
      `${remembered[0]?.who ?? ''} remembers the journal: it is compared with that`,
      {
        remedy: 'leave --trust-database out',
      },
    )
  }
  if (typeof way === 'object') {
    const recovered = await recoverFrom(tools, await openArchive(way.from), remembered)
    await requireRemembered(guarded)
    return recovered
  }
  await requireRemembered({ ...guarded, acknowledged: way })
  const recovered = await acknowledge(tools, way)
  await requireRemembered(guarded)
  return recovered
}

/** What persons had ordered and the database has forgotten: nothing that it touches acts meanwhile. */
async function missingOrders(db: Db): Promise<string> {
  const unproven = (await listApprovals(db)).filter(({ state }) => state === 'unproven')
  const rules = unproven.map(({ rule }) => `  ${rule}\n`).join('')
  const approvals =
    rules === ''
      ? ''
      : `approvals that the database has forgotten; read a plan and approve again:\n${rules}`
  return renderMissing(await missingHolds(db)) + approvals
}

function told({ origin, size, entries, withoutTokens }: Recovered): string {
  const lost =
    withoutTokens === 0
      ? ''
      : `the archive has no tokens of ${withoutTokens} batches; the journal says that they are gone\n`
  return `${origin}: came back with ${size} entries, ${entries} appended again\n${lost}`
}
