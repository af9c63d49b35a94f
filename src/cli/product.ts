import { readFileSync } from 'node:fs'
import { z } from 'zod'

const packageFile = z.object({ version: z.string() })

/** Version of the program, as package.json says. */
export const VERSION = packageFile.parse(
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')),
).version

/** Name and version, as the journal's first entry states them. */
export const PRODUCT = `retentiond ${VERSION}`
