/**
 * The grammar of PostgreSQL itself (libpg_query): what it reads is what the server would read. It is
 * loaded only where a policy has SQL in it, since that takes longer than all else at the start.
 */
import { Bug } from '../base/errors.ts'

/** A node of the syntax tree: the name of its kind, and what it holds. */
export type SqlNode = { readonly kind: string; readonly holds: Readonly<Record<string, unknown>> }

type Grammar = typeof import('libpg-query')

let grammar: Grammar | null = null

/** Loads the grammar if any of the texts may need it. Before that, reading SQL is a bug. */
export async function loadGrammar(texts: readonly string[]): Promise<void> {
  if (grammar !== null || !texts.some((text) => text.includes('where_sql'))) return
  const library = await import('libpg-query')
  await library.loadModule()
  grammar = library
}

export type ParsedSql =
  | { readonly statements: readonly unknown[]; readonly failure?: undefined }
  | { readonly statements?: undefined; readonly failure: string }

/** Parses SQL text into the statements that it is. */
export function parseSql(text: string): ParsedSql {
  if (grammar === null) throw new Bug('SQL of a policy is read before its grammar is loaded')
  try {
    return { statements: grammar.parseSync(text).stmts ?? [] }
  } catch (error) {
    if (!grammar.hasSqlDetails(error)) throw error
    return { failure: error.message }
  }
}

/** Takes apart what the grammar makes of every node: `{ Kind: { … } }`. */
export function nodeOf(raw: unknown): SqlNode {
  const [[kind, holds] = ['nothing', {}]] =
    typeof raw === 'object' && raw !== null ? Object.entries(raw) : []
  return { kind, holds: holds as SqlNode['holds'] }
}
