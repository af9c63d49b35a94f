/** `journal archive`: what the journal says of batches and runs leaves the database once it is old. */
import { hostname } from 'node:os'
import { Command, InvalidArgumentError } from 'commander'
import { takenBySink } from '../../anchor/anchoring.ts'
import { releaseLease, takeLease } from '../../db/lease.ts'
import { checkMigrated } from '../../db/migrate.ts'
import { archiveJournal } from '../../journal/archive.ts'
import { printTreeHead } from '../../journal/merkle.ts'
import {
  guard,
  openConnection,
  openSigner,
  readConfiguredAnchors,
  type CliContext,
} from '../context.ts'
import { rulesIn } from '../rule-texts.ts'

type Options = {
  readonly before: string
  readonly out: string
  readonly policies?: readonly string[]
}

export function archiveCommand(context: CliContext): Command {
  return new Command('archive')
    .description('move old batches and runs to a folder that is verified first; their hashes stay')
    .requiredOption('--before <day>', 'what was journalled on this day or later stays', day)
    .requiredOption('--out <folder>', 'a folder in which nothing is, or that does not exist')
    .option('--policies <folder...>', 'with the texts of the rules that are found in these folders')
    .action(async ({ before, out, policies = [] }: Options) => {
      const signer = await openSigner(context)
      const { roles } = context.config()
      const rules = await rulesIn(policies)
      await using connection = await openConnection(context)
      const { db } = connection
      await checkMigrated(db)
      await guard(context, { db, sinks: 'asked' })
      const { sinks } = await readConfiguredAnchors(context)
      const taken = await takenBySink(db)
      const anchored = Math.min(...sinks.map(({ name }) => taken.get(name) ?? 0))
      // Nobody enforces meanwhile.
      const lease = await takeLease(db, `journal on ${hostname()}, process ${process.pid}`)
      try {
        const tools = { db, signer, clock: context.clock, owner: roles.owner }
        const done = await archiveJournal(tools, { before, out, rules, anchored })
        context.out(
          `archived ${done.entries} of the entries ${done.from} to ${done.to}, behind ${printTreeHead(done)}\n`,
        )
        context.err(
          `keep ${out} where the database's administrators cannot write, for as long as a row may have to be proved\n`,
        )
      } finally {
        await releaseLease(db, lease)
      }
    })
}

function day(text: string): string {
  if (/^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text))) return text
  throw new InvalidArgumentError('write a date as YYYY-MM-DD')
}
