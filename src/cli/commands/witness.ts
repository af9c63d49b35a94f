import { Command, InvalidArgumentError } from 'commander'
import { openWitness, witnessApp } from '../../anchor/witness.ts'
import { openHttp } from '../../daemon/http.ts'
import { readWitnessKeyFile } from '../../journal/key-file.ts'
import { parseVerifierKey, type VerifierKey } from '../../journal/note.ts'
import type { CliContext } from '../context.ts'

type Options = {
  readonly key: string
  readonly name: string
  readonly state: string
  readonly log: readonly VerifierKey[]
}

/** `witness`: somebody else's memory of a journal. It has no database and no policy. */
export function witnessCommand(context: CliContext): Command {
  return new Command('witness')
    .description('be a witness of other journals')
    .addCommand(serveCommand(context))
}

function serveCommand(context: CliContext): Command {
  return new Command('serve')
    .description('sign checkpoints that continue those before (C2SP tlog-witness), until stopped')
    .requiredOption('--key <file>', 'key of the witness, made with: keygen')
    .requiredOption('--name <name>', 'what the key is called, as witness.example.org', keyName)
    .requiredOption('--state <file>', 'what was signed; to be kept as well as the key')
    .requiredOption(
      '--log <vkey>',
      'checkpoint key of a journal, as journal status prints it; may be given again',
      logKey,
    )
    .action(async ({ key: file, name, state, log: logs }: Options) => {
      const key = await readWitnessKeyFile(file)
      const witness = await openWitness({ name, key, logs, state, clock: context.clock })
      const signal = context.stopSignal()
      await using http = await openHttp(witnessApp(witness), context.config().listen)
      context.out(`${key.vkey(name)}\n`)
      context.err(`listening on port ${http.port}\n`)
      if (!signal.aborted) {
        await new Promise<void>((resolve) => {
          signal.addEventListener('abort', () => resolve(), { once: true })
        })
      }
    })
}

function keyName(text: string): string {
  if (/^[^\s+]{1,200}$/.test(text)) return text
  throw new InvalidArgumentError('write a name without space and plus')
}

function logKey(text: string, before: readonly VerifierKey[] = []): readonly VerifierKey[] {
  const key = parseVerifierKey(text)
  if (key?.algorithm === 'ed25519') return [...before, key]
  throw new InvalidArgumentError('write a verifier key: name+key id+base64')
}
