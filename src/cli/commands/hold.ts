/** `hold`: orders to keep, placed and lifted by a person. */
import { Command, InvalidArgumentError, Option } from 'commander'
import { DateTime } from 'luxon'
import { UsageError } from '../../base/errors.ts'
import { fitWithoutRights } from '../../catalog/fit.ts'
import { inspectFor } from '../../catalog/pinned.ts'
import { checkMigrated } from '../../db/migrate.ts'
import { liftHolds, liftMissing, placeHold, type Scope } from '../../hold/hold.ts'
import { missingHolds } from '../../hold/missing.ts'
import { listHolds, type ListedHold } from '../../hold/store.ts'
import { readKeyFile } from '../../journal/key-file.ts'
import { valueOf } from '../../plan/prepare.ts'
import { visible } from '../../policy/visible.ts'
import { required } from '../config.ts'
import {
  loadConfigured,
  openConnection,
  openGoverned,
  pseudonymKey,
  type CliContext,
} from '../context.ts'
import { columns, json } from '../output.ts'

type PlaceOptions = {
  readonly rule?: string
  readonly subject?: string
  readonly table?: string
  readonly key?: readonly string[]
  readonly until?: string
}

export function holdCommand(context: CliContext): Command {
  return new Command('hold')
    .description('keep what a case needs, whatever the rules say')
    .addCommand(placeCommand(context))
    .addCommand(liftCommand(context))
    .addCommand(listCommand(context))
}

function placeCommand(context: CliContext): Command {
  return new Command('place')
    .description('place a hold; it counts until it is lifted')
    .argument('<case>', 'reference of the case: text, not digits alone')
    .option('--rule <id>', 'hold every record that this rule speaks of')
    .option('--subject <value>', 'hold every record that is about this subject')
    .option('--table <name>', 'hold one row of this table (schema.table), with --key')
    .option('--key <value...>', 'the key of the row, a value for each of its columns')
    .option('--until <date>', 'a day that reminds (YYYY-MM-DD); the hold does not end by it', day)
    .action(async (caseReference: string, options: PlaceOptions) => {
      const scope = scopeOf(options)
      const set = await loadConfigured(context)
      const signer = await readKeyFile(required(context.config().entryKeyFile))
      await using connection = await openGoverned(context, set)
      const { db } = connection
      await checkMigrated(db)
      // Whoever places holds has none of the rights that the rules need to act.
      const catalog = await inspectFor(db, set)
      const rules = valueOf(fitWithoutRights(set, catalog, await pseudonymKey(context)))
      const tools = { db, signer, clock: context.clock }
      const until = options.until ?? null
      const ids = await placeHold(tools, { caseReference, scope, until, rules })
      context.out(`placed ${numbered(ids)}\n`)
    })
}

function scopeOf({ rule, subject, table, key }: PlaceOptions): Scope {
  const given = [rule, subject, table ?? key].filter((option) => option !== undefined)
  if (given.length === 1) {
    if (rule !== undefined) return { kind: 'rule', rule }
    if (subject !== undefined) return { kind: 'subject', value: subject }
    if (table !== undefined && key !== undefined) return { kind: 'row', table, key }
  }
  throw new UsageError('a hold is on one rule, one subject or one row', {
    remedy: 'give --rule, or --subject, or --table with --key',
  })
}

function liftCommand(context: CliContext): Command {
  return new Command('lift')
    .description('lift a hold, or every hold of a case; the periods have gone on meanwhile')
    .argument('<case>', 'reference of the case, or the number of a hold')
    .option('--missing', 'a number that the journal knows and a restore took away')
    .action(async (which: string, { missing = false }: { readonly missing?: boolean }) => {
      const signer = await readKeyFile(required(context.config().entryKeyFile))
      await using connection = await openConnection(context)
      const { db } = connection
      await checkMigrated(db)
      const tools = { db, signer, clock: context.clock }
      const ids = missing
        ? await liftMissing(tools, await missingHolds(db), which)
        : await liftHolds(tools, which)
      context.out(`lifted ${numbered(ids)}\n`)
    })
}

function numbered(ids: readonly number[]): string {
  return `${ids.length === 1 ? 'hold' : 'holds'} ${ids.join(', ')}`
}

function listCommand(context: CliContext): Command {
  return new Command('list')
    .description('list the open holds, by case and scope')
    .option('--all', 'also those that were lifted')
    .addOption(
      new Option('--output <format>', 'what to print').choices(['text', 'json']).default('text'),
    )
    .action(async ({ all = false, output }: { all?: boolean; output: 'text' | 'json' }) => {
      await using connection = await openConnection(context)
      await checkMigrated(connection.db)
      const holds = await listHolds(connection.db, all)
      context.out(output === 'json' ? json(1, { holds }) : renderHolds(holds))
    })
}

function renderHolds(holds: readonly ListedHold[]): string {
  if (holds.length === 0) return 'no hold\n'
  const rows = holds.map((hold) => [
    String(hold.id),
    visible(hold.case),
    hold.target === null ? hold.scope : `${hold.scope} ${visible(hold.target)}`,
    hold.placedAt.slice(0, 10),
    stateOf(hold),
  ])
  return `${columns([['HOLD', 'CASE', 'SCOPE', 'PLACED', 'STATE'], ...rows])}\n`
}

function stateOf({ liftedAt, until, reminds }: ListedHold): string {
  if (liftedAt !== null) return `lifted ${liftedAt.slice(0, 10)}`
  if (until === null) return 'open'
  return reminds ? `open; was to be looked at on ${until}` : `open; to be looked at on ${until}`
}

function day(text: string): string {
  if (/^\d{4}-\d\d-\d\d$/.test(text) && DateTime.fromISO(text).isValid) return text
  throw new InvalidArgumentError('write a date as YYYY-MM-DD')
}
