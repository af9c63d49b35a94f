/** The small shapes of which the documents of a policy are made. */
import { config, z } from 'zod'
import { quote } from './fault.ts'
import type { Fault } from './fault.ts'
import { field, readDay, readText, readZone } from './fields.ts'
import { readColumn, readId, readTable, readTableColumn } from './name.ts'

// zod's own sentences look into the value that they speak of, and a mapping may call a key
// `constructor`. Nobody reads them: issues.ts makes ours.
config({ localeError: ({ code }) => `invalid: ${code}` })

/**
 * A mapping that accepts no other key. The message of its unknown keys is the list of the known
 * ones: issues.ts makes the sentence, and zod gives it nothing else to go by.
 */
export function mapping<S extends z.ZodRawShape>(shape: S): z.ZodObject<S, z.core.$strict> {
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys' ? Object.keys(shape).join(' ') : undefined,
  })
}

export const Text = field(readText, z.string().min(1))
export const Id = field(readId, z.string().meta({ pattern: '^[a-z][a-z0-9_-]{0,62}$' }))
export const Zone = field(readZone, z.string().meta({ examples: ['Europe/Paris', 'UTC'] }))
export const Day = field(readDay, z.string().meta({ format: 'date' }))
export const Column = field(readColumn, z.string().min(1))
export const Table = field(
  readTable,
  z
    .string()
    .min(3)
    .meta({ examples: ['crm.customer'] }),
)
export const TableColumn = field(
  readTableColumn,
  z
    .string()
    .min(5)
    .meta({ examples: ['crm.contract.ended_on'] }),
)

/** Finds keys that name again, in another spelling, what a key before them named. */
export function repeated(
  keys: readonly string[],
  named: (key: string) => string | undefined,
): readonly Fault[] {
  const seen = new Set<string>()
  return keys.flatMap((key): readonly Fault[] => {
    const name = named(key)
    if (name === undefined || !seen.has(name)) {
      if (name !== undefined) seen.add(name)
      return []
    }
    const message = `${quote(key)} stands here twice`
    return [{ code: 'duplicate_key', message, path: [key], on: 'key' }]
  })
}
