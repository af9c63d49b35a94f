import { hostname } from 'node:os'
import { Command } from 'commander'
import { rotateCheckpointKey, rotateEntryKey } from '../../anchor/rotate.ts'
import { UsageError } from '../../base/errors.ts'
import { releaseLease, takeLease } from '../../db/lease.ts'
import { checkMigrated } from '../../db/migrate.ts'
import { makeCheckpoint } from '../../journal/checkpointer.ts'
import { readCheckpointKeyFile, readKeyFile } from '../../journal/key-file.ts'
import { required } from '../config.ts'
import { guard, openConnection, openSigner, type CliContext } from '../context.ts'

type Options = { readonly entry?: string; readonly checkpoint?: string }

/** `journal rotate-keys`: the key in use names the next one. */
export function rotateCommand(context: CliContext): Command {
  return new Command('rotate-keys')
    .description('name the next key in the journal; afterwards set the environment to its file')
    .option('--entry <file>', 'file of the next entry key')
    .option('--checkpoint <file>', 'file of the next checkpoint key')
    .action(async ({ entry, checkpoint }: Options) => {
      if ((entry === undefined) === (checkpoint === undefined)) {
        throw new UsageError('give --entry or --checkpoint, one at a time', {
          remedy: 'see docs/operating.md, Keys',
        })
      }
      const signer = await openSigner(context)
      await using connection = await openConnection(context)
      const { db } = connection
      await checkMigrated(db)
      await guard(context, { db, sinks: 'left alone' })
      const tools = { db, signer, clock: context.clock }
      const lease = await takeLease(db, `journal on ${hostname()}, process ${process.pid}`)
      try {
        if (entry !== undefined) {
          context.out(`${await rotateEntryKey(tools, await readKeyFile(entry))}\n`)
          context.err(`set RETENTIOND_ENTRY_KEY_FILE to ${entry} now: the old key signs no more\n`)
        } else if (checkpoint !== undefined) {
          const next = await readCheckpointKeyFile(checkpoint)
          const { checkpointKeyFile } = context.config()
          const name = 'RETENTIOND_CHECKPOINT_KEY_FILE'
          const current = await readCheckpointKeyFile(required({ name, value: checkpointKeyFile }))
          context.out(`${await rotateCheckpointKey(tools, { current, next })}\n`)
          const signed = { ...tools, checkpoints: next, formerly: current }
          context.out(`\n${(await makeCheckpoint(signed, null)).note}`)
          context.err(`set ${name} to ${checkpoint} now, and tell witnesses the key above\n`)
        }
      } finally {
        await releaseLease(db, lease)
      }
    })
}
