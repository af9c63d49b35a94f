import { Command, InvalidArgumentError } from 'commander'
import { checkMigrated } from '../../db/migrate.ts'
import { destroyEvidenceFile, readEvidenceFile } from '../../journal/evidence-file.ts'
import { journalDestruction, pruneEvidence } from '../../journal/evidence-keys.ts'
import { RefusedError } from '../../base/errors.ts'
import { openConnection, type CliContext, openSigner, guard } from '../context.ts'

/** `journal prune-evidence`: removes tokens that have been kept for long enough. */
export function pruneCommand(context: CliContext): Command {
  return new Command('prune-evidence')
    .description('remove the tokens of batches before an entry; the journal says so and verifies')
    .requiredOption(
      '--before <seq>',
      'sequence number of the first entry to keep them of',
      sequence,
    )
    .action(async ({ before }: { readonly before: number }) => {
      const signer = await openSigner(context)
      await using connection = await openConnection(context)
      const { db } = connection
      await checkMigrated(db)
      await guard(context, { db, sinks: 'left alone' })
      const batches = await pruneEvidence({ db, signer, clock: context.clock }, before)
      context.out(`removed the tokens of ${batches} ${batches === 1 ? 'batch' : 'batches'}\n`)
    })
}

/** `journal destroy-evidence-key`: after it, nobody can open a token of that key. */
export function destroyCommand(context: CliContext): Command {
  return new Command('destroy-evidence-key')
    .description('destroy an evidence key, and say so in the journal, which still verifies')
    .argument('<id>', 'id of the key, as in the journal')
    .option('--file <path>', 'file of the key, to be written over and removed')
    .action(async (id: string, { file }: { readonly file?: string }) => {
      const signer = await openSigner(context)
      await using connection = await openConnection(context)
      const { db } = connection
      await checkMigrated(db)
      await guard(context, { db, sinks: 'left alone' })
      if (file !== undefined && (await readEvidenceFile(file)).id !== id) {
        throw new RefusedError(`${file} holds another key than ${id}`)
      }
      if (file !== undefined) await destroyEvidenceFile(file)
      await journalDestruction({ db, signer, clock: context.clock }, id)
      context.err('destroy every copy of the key as well: backups, vaults, other hosts\n')
    })
}

function sequence(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('write a whole number')
}
