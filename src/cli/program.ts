import { Command, type CommanderError } from 'commander'
import { UsageError } from '../base/errors.ts'
import type { CliContext } from './context.ts'
import { approveCommand } from './commands/approve.ts'
import { daemonCommand } from './commands/daemon.ts'
import { enforceCommand } from './commands/enforce.ts'
import { initCommand } from './commands/init.ts'
import { journalCommand } from './commands/journal.ts'
import { planCommand } from './commands/plan.ts'
import { schemaCommand } from './commands/schema.ts'
import { explainCommand } from './commands/explain.ts'
import { holdCommand } from './commands/hold.ts'
import { grantsCommand, keygenCommand, migrateCommand } from './commands/set-up.ts'
import { validateCommand } from './commands/validate.ts'
import { witnessCommand } from './commands/witness.ts'
import { VERSION } from './product.ts'

/** Runs the command that the arguments name. Usage that makes no sense is a UsageError. */
export async function runProgram(context: CliContext, argv: readonly string[]): Promise<void> {
  const program = new Command('retentiond')
    .description('keeps the promises of a privacy policy inside PostgreSQL')
    .version(VERSION)
    .showSuggestionAfterError()
    .addHelpText('after', '\nConfiguration is by environment: see docs/operating.md.')
  const commands = [
    initCommand(context),
    validateCommand(context),
    planCommand(context),
    approveCommand(context),
    enforceCommand(context),
    explainCommand(context),
    holdCommand(context),
    daemonCommand(context),
    journalCommand(context),
    keygenCommand(context),
    grantsCommand(context),
    migrateCommand(context),
    schemaCommand(context),
    witnessCommand(context),
  ]
  for (const command of commands) program.addCommand(command)
  handUsage(program, context, 'retentiond')
  try {
    await program.parseAsync([...argv], { from: 'user' })
  } catch (error) {
    if (!(error instanceof HelpShown)) throw error
  }
}

/** Commander ends a command by an error also when it has printed what was asked for. */
class HelpShown extends Error {
  override readonly name = 'HelpShown'
}

/** Usage that makes no sense names the help of the command that it was meant for. */
function handUsage(command: Command, context: CliContext, path: string): void {
  command.configureOutput({ writeOut: context.out, writeErr: () => {} })
  command.exitOverride((error) => {
    throw error.exitCode === 0 ? new HelpShown() : usageError(error, path)
  })
  for (const child of command.commands) handUsage(child, context, `${path} ${child.name()}`)
}

function usageError(error: CommanderError, path: string): UsageError {
  const [first = '', ...more] = error.message.replace(/^error: /, '').split('\n')
  const said = [first.replace(' is invalid. ', ' is invalid: ').replace(/\.$/, ''), ...more].join(
    ' ',
  )
  const text = first === '(outputHelp)' ? 'no command given' : said
  // A connection string that was given as an argument may hold a password.
  return new UsageError(text.replaceAll(/:\/\/[^@\s]*@/g, '://…@'), {
    remedy: `see: ${path} --help`,
  })
}
