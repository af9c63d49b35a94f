import { Command, CommanderError } from 'commander'
import { UsageError } from '../base/errors.ts'
import type { CliContext } from './context.ts'
import { approveCommand } from './commands/approve.ts'
import { daemonCommand } from './commands/daemon.ts'
import { enforceCommand } from './commands/enforce.ts'
import { journalCommand } from './commands/journal.ts'
import { planCommand } from './commands/plan.ts'
import { schemaCommand } from './commands/schema.ts'
import { grantsCommand, keygenCommand, migrateCommand } from './commands/set-up.ts'
import { validateCommand } from './commands/validate.ts'
import { VERSION } from './product.ts'

/** Runs the command that the arguments name. Usage that makes no sense is a UsageError. */
export async function runProgram(context: CliContext, argv: readonly string[]): Promise<void> {
  const program = new Command('retentiond')
    .description('keeps the promises of a privacy policy inside PostgreSQL')
    .version(VERSION)
    .showSuggestionAfterError()
    .addHelpText('after', '\nConfiguration is by environment: see docs/operating.md.')
  const commands = [
    validateCommand(context),
    planCommand(context),
    approveCommand(context),
    enforceCommand(context),
    daemonCommand(context),
    journalCommand(context),
    keygenCommand(context),
    grantsCommand(context),
    migrateCommand(context),
    schemaCommand(context),
  ]
  for (const command of commands) program.addCommand(command)
  for (const command of withChildren(program)) {
    command.exitOverride().configureOutput({ writeOut: context.out, writeErr: () => {} })
  }
  try {
    await program.parseAsync([...argv], { from: 'user' })
  } catch (error) {
    throw usageError(error)
  }
}

function withChildren(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap((child) => withChildren(child))]
}

/** Commander throws for `--help` and `--version` too, after it printed them: that is no error. */
function usageError(error: unknown): unknown {
  if (!(error instanceof CommanderError)) return error
  if (error.exitCode === 0) return undefined
  const message = error.message.replace(/^error: /, '')
  const text = message === '(outputHelp)' ? 'no command given' : message
  return new UsageError(text, { remedy: 'see: retentiond --help' })
}
