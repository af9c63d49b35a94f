import { Command, InvalidArgumentError, Option } from 'commander'
import { hostname } from 'node:os'
import { releaseLease, takeLease } from '../../db/lease.ts'
import { checkMigrated } from '../../db/migrate.ts'
import { succeed } from '../../hold/succeed.ts'
import type { WhySucceeded } from '../../journal/entry.ts'
import { readKeyFile } from '../../journal/key-file.ts'
import { parseTreeHead, printTreeHead, type TreeHead } from '../../journal/merkle.ts'
import { required } from '../config.ts'
import { openConnection, type CliContext } from '../context.ts'
import { PRODUCT } from '../product.ts'
import { MIGRATIONS } from './set-up.ts'

type Options = { readonly why: WhySucceeded; readonly last?: TreeHead; readonly origin?: string }

/** `journal succeed`: a new journal for one that cannot be continued. */
export function succeedCommand(context: CliContext): Command {
  return new Command('succeed')
    .description('set the journal aside and begin another one that names it; open holds come along')
    .addOption(
      new Option('--why <reason>', 'why the journal is not continued')
        .choices(['key-lost', 'key-stolen', 'restored', 'other'])
        .makeOptionMandatory(),
    )
    .option(
      '--last <size:root>',
      'its last head that is known to be good (default: as it is)',
      head,
    )
    .option('--origin <name>', 'name of the new journal (default: that of the old one)')
    .action(async ({ why, last, origin }: Options) => {
      const signer = await readKeyFile(required(context.config().entryKeyFile))
      const { roles } = context.config()
      await using connection = await openConnection(context)
      const { db } = connection
      await checkMigrated(db)
      // Nobody enforces meanwhile; the lease goes aside with the rest.
      const lease = await takeLease(db, `journal on ${hostname()}, process ${process.pid}`)
      const begun = await succeed(
        { db, signer, clock: context.clock },
        {
          folder: MIGRATIONS,
          roles,
          product: PRODUCT,
          origin: origin ?? null,
          why,
          last: last ?? null,
        },
      ).catch(async (error: unknown) => {
        await releaseLease(db, lease)
        throw error
      })
      const { previous, schema, holds } = begun
      context.err(
        `${previous.origin} up to ${printTreeHead(previous)} is in the schema ${schema}; ` +
          `${holds.length} open holds came along\n` +
          'give the new journal a new state file and new sinks, run grants again, and approve every rule\n',
      )
      context.err(`opened the journal ${begun.origin}\n`)
      context.out(`${signer.vkey(begun.origin)}\n`)
    })
}

function head(text: string): TreeHead {
  const parsed = parseTreeHead(text)
  if (parsed !== null) return parsed
  throw new InvalidArgumentError('write SIZE:ROOT as enforce prints it, as 57:+Ab…=')
}
