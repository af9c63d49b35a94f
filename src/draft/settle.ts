import { printTable, type TableName } from '../base/names.ts'
import type { Problem } from '../base/problem.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { fitWithoutRights } from '../catalog/fit.ts'
import { parsePolicies } from '../policy/parse.ts'
import { draftPolicy, type Draft } from './draft.ts'
import { renderDraft, type DraftHeader } from './render.ts'

export type Settled = { readonly draft: Draft; readonly text: string }

/**
 * Drafts again without what does not fit, until the rest loads and fits the catalog: a first policy
 * that is refused teaches nothing. What was left out stands among the exemptions, with the reason.
 */
export function settleDraft(
  catalog: Catalog,
  tables: readonly TableName[],
  header: DraftHeader,
): Settled {
  const unfit = new Map<string, string>()
  for (;;) {
    const draft = draftPolicy({ catalog, tables, unfit })
    const text = renderDraft(draft, header)
    const problems = draft.rules.length === 0 ? [] : problemsOf(text, catalog)
    const before = unfit.size
    for (const problem of rootsOf(problems)) {
      const rule = draft.rules[ruleOf(problem) ?? draft.rules.length - 1]
      if (rule === undefined || unfit.has(printTable(rule.table))) continue
      unfit.set(printTable(rule.table), reasonOf(problem))
    }
    // Each round takes a table out, or is the last.
    if (unfit.size === before) return { draft, text }
  }
}

/**
 * What is wrong with a table itself comes first: without its rule, what refers to it fits another way.
 * Failing that one at a time, since the next may have been wrong only because of it.
 */
function rootsOf(problems: readonly Problem[]): readonly Problem[] {
  const own = problems.filter(({ path }) => !path.includes('.references'))
  return own.length > 0 ? own : problems.slice(0, 1)
}

function problemsOf(text: string, catalog: Catalog): readonly Problem[] {
  const parsed = parsePolicies([{ file: 'draft.yaml', text }])
  if (parsed.problems !== undefined) return parsed.problems
  return fitWithoutRights(parsed.value, catalog).problems ?? []
}

function ruleOf({ path }: Problem): number | undefined {
  const [, index] = /^rules\[(\d+)\]/.exec(path) ?? []
  return index === undefined ? undefined : Number(index)
}

function reasonOf({ message, remedy }: Problem): string {
  return remedy === undefined ? message : `${message} (${remedy})`
}
