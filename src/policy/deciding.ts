/** The columns by which rules decide: none of them may be overwritten by a rule. */
import type { TableName } from '../base/names.ts'
import { columnsRead, type EventSource, type Rule } from './policy.ts'

/** Columns of a table, and what they are to a rule. */
export type Deciding = readonly (readonly [TableName, readonly string[], string])[]

/** The columns by which the rule decides which rows it speaks of, and when their period starts. */
export function columnsDeciding(rule: Rule): Deciding {
  const where = [rule.table, columnsRead(rule.where), 'in the filter'] as const
  if (rule.start.kind === 'column') {
    return [where, [rule.table, [rule.start.column], 'the period start']]
  }
  const { sources, own, none } = rule.start
  return [
    where,
    ...sources.flatMap((source) => sourceDeciding(rule, source)),
    [rule.table, own.map(({ column }) => column), 'the period start'],
    [rule.table, typeof none === 'object' ? [none.use.column] : [], 'the period start'],
  ]
}

function sourceDeciding(rule: Rule, { table, column, hops, by, open }: EventSource): Deciding {
  const tables = [table, ...hops.map((hop) => hop.table)]
  const steps = [...hops, { table: rule.table, links: by }]
  return [
    [table, [column], 'the period start'],
    ...steps.flatMap((step, at): Deciding => [
      [tables[at] ?? table, step.links.map((link) => link.source), 'a link'],
      [step.table, step.links.map((link) => link.own), 'a link'],
    ]),
    [table, columnsRead(open), 'in the open filter'],
  ]
}

/** The columns by which rows of other tables refer to those of the rule, without a foreign key. */
export function columnsOfLinks({ logical }: Pick<Rule, 'logical'>): Deciding {
  return logical.flatMap(({ table, to, by, where }): Deciding => [
    [table, by.map((link) => link.source), 'a logical link'],
    [to, by.map((link) => link.own), 'a logical link'],
    [table, columnsRead(where), 'in the filter of a logical link'],
  ])
}
