import { Command, InvalidArgumentError } from 'commander'
import { checkMigrated } from '../../db/migrate.ts'
import { inSnapshot } from '../../db/transaction.ts'
import { exportJournal, type ExportOptions } from '../../journal/export.ts'
import { printTreeHead } from '../../journal/merkle.ts'
import { openConnection, type CliContext } from '../context.ts'
import { rulesIn } from '../rule-texts.ts'

type Options = Omit<ExportOptions, 'rules'> & { readonly policies?: readonly string[] }

/** `journal export`: the journal as a folder that is checked elsewhere. */
export function exportCommand(context: CliContext): Command {
  return new Command('export')
    .description('write the journal to a new folder, to be verified without the database')
    .requiredOption('--out <folder>', 'a folder in which nothing is, or that does not exist')
    .option(
      '--from <seq>',
      'first entry; of a journal without its beginning nothing is proved',
      sequence,
      0,
    )
    .option('--to <seq>', 'last entry (default: the newest)', sequence)
    .option('--evidence', 'with the tokens of each row', false)
    .option('--tiles', 'with the tree up to the newest checkpoint in the tlog-tiles layout', false)
    .option('--policies <folder...>', 'with the texts of the rules that are found in these folders')
    .action(async (options: Options) => {
      const rules = await rulesIn(options.policies ?? [])
      await using connection = await openConnection(context)
      await checkMigrated(connection.db)
      const head = await inSnapshot(connection.db, async (trx) =>
        exportJournal(trx, { ...options, rules }),
      )
      context.out(`${printTreeHead(head)}\n`)
    })
}

function sequence(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('write a whole number')
}
