/** The commands that prepare a database: `keygen`, `grants`, `migrate`. */
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { RefusedError } from '../../base/errors.ts'
import { missingArchives } from '../../catalog/fit-archive.ts'
import { fitWithoutRights } from '../../catalog/fit.ts'
import { inspectDatabase } from '../../catalog/inspect.ts'
import { renderDropFunctions } from '../../catalog/needs-drop.ts'
import { renderUpkeepGrants } from '../../catalog/needs-after.ts'
import { keeperNeeds, grantsOf, renderGrants } from '../../catalog/needs.ts'
import { inspectFor } from '../../catalog/pinned.ts'
import { migrate } from '../../db/migrate.ts'
import { renderRoleGrants } from '../../db/roles.ts'
import { inTransaction } from '../../db/transaction.ts'
import { generateEvidenceFile } from '../../journal/evidence-file.ts'
import { generateKeyFile, readKeyFile } from '../../journal/key-file.ts'
import { readHead } from '../../journal/read.ts'
import { openLog } from '../../journal/store.ts'
import { valueOf } from '../../plan/prepare.ts'
import { required } from '../config.ts'
import { loadConfigured, openConnection, pseudonymKey, type CliContext } from '../context.ts'
import { PRODUCT } from '../product.ts'

/** Beside src/ in a checkout, beside dist/ in the image. */
export const MIGRATIONS = fileURLToPath(new URL('../../../migrations', import.meta.url))

/** `keygen`: the keys of the journal. */
export function keygenCommand(context: CliContext): Command {
  return new Command('keygen')
    .description('make a key: for entries or checkpoints (Ed25519), or for evidence (mode 0600)')
    .option('--evidence <id>', 'make an evidence key with this id, as ek-2026')
    .argument('<file>', 'where to write it; an existing file is never overwritten')
    .action(async (file: string, { evidence }: { readonly evidence?: string }) => {
      if (evidence === undefined) await generateKeyFile(file)
      else await generateEvidenceFile(file, evidence)
      context.err(`wrote ${file}; keep a copy where the database's administrators cannot read it\n`)
    })
}

/** `grants`: the SQL a DBA is asked to run, with the reason for each right. */
export function grantsCommand(context: CliContext): Command {
  return new Command('grants')
    .description('print the roles and rights that the policies need, for a DBA to run')
    .option('--migrator <role>', 'who runs migrate, if that is not a superuser')
    .action(async ({ migrator }: { readonly migrator?: string }) => {
      const set = await loadConfigured(context)
      const { roles } = context.config()
      await using connection = await openConnection(context)
      const database = await inspectDatabase(connection.db)
      const catalog = await inspectFor(connection.db, set)
      const archives = missingArchives(set, catalog)
      if (archives !== '') context.out(archives)
      const fitted = valueOf(fitWithoutRights(set, catalog, await pseudonymKey(context)))
      const acting = fitted.filter(({ rule }) => rule.mode === 'enforce')
      const needs = grantsOf(fitted, ({ rule }) => rule.mode === 'enforce')
      context.out(
        [
          renderRoleGrants(roles, {
            database: database.name,
            serverVersion: Math.floor(database.serverVersion / 10_000),
            ...(migrator === undefined ? {} : { migrator }),
          }),
          renderGrants(needs, roles.daemon),
          renderDropFunctions(acting, roles.daemon),
          renderUpkeepGrants(acting, { role: roles.daemon, serverVersion: database.serverVersion }),
          renderGrants(fitted.flatMap(keeperNeeds), roles.keeper),
        ].join('\n'),
      )
    })
}

/** `migrate`: our schema, and the first entry of the journal. */
export function migrateCommand(context: CliContext): Command {
  return new Command('migrate')
    .description('create or update the schema retentiond, and open the journal')
    .option(
      '--origin <name>',
      'name of the journal, with a domain of yours: example.com/purge',
      'retentiond.invalid/purge',
    )
    .action(async ({ origin }: { readonly origin: string }) => {
      const signer = await readKeyFile(required(context.config().entryKeyFile))
      const { roles } = context.config()
      await using connection = await openConnection(context)
      const { db } = connection
      const applied = await migrate(db, { folder: MIGRATIONS, roles })
      context.err(
        applied.length === 0 ? 'the schema is up to date\n' : `applied ${applied.join(', ')}\n`,
      )
      const head = await readHead(db)
      if (head !== null) {
        context.err(`the journal is ${head.origin}, ${head.size} entries\n`)
        return
      }
      const opened = await inTransaction(db, async (trx) =>
        openLog(trx, signer, { origin, product: PRODUCT, owner: roles.owner }, context.clock),
      ).catch(async (error: unknown) => {
        // Somebody else migrated at the same moment: theirs is the journal.
        if (!(error instanceof RefusedError)) throw error
        return (await readHead(db))?.origin ?? origin
      })
      context.err(`opened the journal ${opened}\n`)
      context.out(`${signer.vkey(opened)}\n`)
    })
}
