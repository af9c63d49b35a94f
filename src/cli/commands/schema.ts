import { writeFile } from 'node:fs/promises'
import { Command } from 'commander'
import { policyJsonSchema } from '../../policy/json-schema.ts'
import { fileError, type CliContext } from '../context.ts'

/** `schema`: the JSON Schema (draft-7) with which editors complete and check policies. */
export function schemaCommand(context: CliContext): Command {
  return new Command('schema')
    .description('print the JSON Schema (draft-7) of the policy language, for editors')
    .option('-o <file>', 'write it to a file instead, as policies/policy.schema.json')
    .action(async ({ o: file }: { readonly o?: string }) => {
      const text = `${JSON.stringify(policyJsonSchema(), null, 2)}\n`
      if (file === undefined) return context.out(text)
      await writeFile(file, text).catch((error: unknown) => {
        throw fileError(file, 'write', error)
      })
      context.err(`wrote ${file}\n`)
    })
}
