import { hostname } from 'node:os'
import { Command, Option } from 'commander'
import { ConfigError } from '../../base/errors.ts'
import { releaseLease, takeLease } from '../../db/lease.ts'
import { checkMigrated } from '../../db/migrate.ts'
import { readStatus, renderStatus, statusJson } from '../../journal/status.ts'
import { readSinkStatus, renderSinks, sinksJson } from '../../anchor/sink-status.ts'
import {
  checkpointer,
  guard,
  openConnection,
  openSigner,
  readConfiguredAnchors,
  type CliContext,
} from '../context.ts'
import { json } from '../output.ts'
import { progressOn } from '../progress.ts'

/** `journal checkpoint`: signs the journal as it stands now. */
export function checkpointCommand(context: CliContext): Command {
  return new Command('checkpoint')
    .description('verify what came since the last checkpoint, sign the journal, print the note')
    .action(async () => {
      const signer = await openSigner(context)
      await using connection = await openConnection(context)
      const { db } = connection
      await checkMigrated(db)
      using progress = progressOn(context)
      await guard(context, { db, log: progress.log, sinks: 'asked' })
      const tools = { db, signer, clock: context.clock, log: progress.log }
      const signing = await checkpointer(context, tools, () => {})
      if (signing === undefined) {
        throw new ConfigError('RETENTIOND_CHECKPOINT_KEY_FILE is not set', {
          remedy: 'make a key with: retentiond keygen checkpoint.key, then set it to that file',
        })
      }
      const lease = await takeLease(db, `journal on ${hostname()}, process ${process.pid}`)
      try {
        const { note } = await signing.sign()
        context.out(note)
      } finally {
        await releaseLease(db, lease)
      }
    })
}

/** `journal status`: where the journal stands, for whoever may read it. */
export function statusCommand(context: CliContext): Command {
  return new Command('status')
    .description('show head, newest checkpoint, keys, guards and sinks; verifies nothing')
    .addOption(
      new Option('--output <format>', 'what to print').choices(['text', 'json']).default('text'),
    )
    .action(async ({ output }: { readonly output: 'text' | 'json' }) => {
      await using connection = await openConnection(context)
      await checkMigrated(connection.db)
      const status = await readStatus(connection.db)
      const { sinks: configured } = await readConfiguredAnchors(context)
      const sinks = await readSinkStatus(
        connection.db,
        configured.map(({ name }) => name),
        context.clock.now(),
      )
      context.out(
        output === 'json'
          ? json(1, { ...statusJson(status), sinks: sinksJson(sinks) })
          : `${renderStatus(status)}${renderSinks(sinks)}`,
      )
    })
}
