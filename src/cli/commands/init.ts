import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import { ConfigError } from '../../base/errors.ts'
import { inspectCatalog } from '../../catalog/inspect.ts'
import { listTables } from '../../catalog/inspect-scope.ts'
import { readInstant } from '../../plan/make.ts'
import { settleDraft, type Settled } from '../../draft/settle.ts'
import { policyFiles } from '../../policy/load.ts'
import { fileError, openConnection, type CliContext } from '../context.ts'

type Options = { readonly outputDir?: string; readonly schema?: readonly string[] }

/** `init`: a first policy from the names and types of an existing database. */
export function initCommand(context: CliContext): Command {
  return new Command('init')
    .description('draft a first policy from the tables of a database; it reports and never acts')
    .option(
      '--output-dir <folder>',
      'where to write it (default: RETENTIOND_POLICIES, else ./policies)',
    )
    .option('--schema <name...>', 'only these schemas (default: all of the application)')
    .action(async (options: Options) => {
      await using connection = await openConnection(context)
      const { db } = connection
      const tables = await listTables(db, options.schema ?? null)
      const catalog = await inspectCatalog(db, tables)
      const { name: database } = catalog.database
      if (tables.length === 0) {
        throw new ConfigError(`there are no tables to write rules for in database ${database}`, {
          remedy: 'look at RETENTIOND_DATABASE_URL and --schema',
        })
      }
      const today = (await readInstant(db)).slice(0, 10)
      const settled = settleDraft(catalog, tables, { database, today })
      if (settled.draft.rules.length === 0) {
        throw new ConfigError(`no table of database ${database} says when its rows began`, {
          remedy: 'write a policy by hand; docs/policy.md has examples',
        })
      }
      const folder = options.outputDir ?? context.config().policies
      const file = await write(folder, settled)
      context.err(report(file, settled))
      context.err(await besides(folder, file))
    })
}

async function write(folder: string, { text, draft }: Settled): Promise<string> {
  const file = join(folder, `${draft.policy}.yaml`)
  try {
    await mkdir(folder, { recursive: true })
    await writeFile(file, text, { flag: 'wx' })
    return file
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) {
      throw fileError(file, 'write', error)
    }
    throw new ConfigError(`${file} is there already, and is never overwritten`, {
      cause: error,
      remedy: 'move it away, or write to another folder with --output-dir',
    })
  }
}

function report(file: string, { draft: { rules, exempt } }: Settled): string {
  return [
    `wrote ${file}: ${counted(rules.length, 'rule')} of mode report, ${counted(exempt.length, 'table')} exempt for now`,
    'every period and start in it is a guess: read it, then run retentiond validate',
    '',
  ].join('\n')
}

/** Policies of a folder are read together: what lay there before is easily forgotten. */
async function besides(folder: string, file: string): Promise<string> {
  const others = (await policyFiles(folder)).filter((path) => path !== file)
  if (others.length === 0) return ''
  return `note: ${others.join(', ')} ${others.length === 1 ? 'is' : 'are'} read with it: if that is not yours, choose a folder of its own by RETENTIOND_POLICIES\n`
}

function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? '' : 's'}`
}
