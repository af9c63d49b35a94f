/** A draft as YAML that explains itself to somebody who never wrote a policy. */
import { printName, printTable } from '../base/names.ts'
import { movesWithChanges, type DraftMask } from './guess-column.ts'
import type { Draft, DraftReference, DraftRule, DraftStart } from './draft.ts'

export type DraftHeader = {
  readonly database: string
  /** The day it is, YYYY-MM-DD. */
  readonly today: string
}

/** Renders the draft; the same draft on the same day gives the same text. */
export function renderDraft(draft: Draft, { database, today }: DraftHeader): string {
  return [
    '# yaml-language-server: $schema=policy.schema.json',
    '#',
    `# A first policy for database ${oneLine(database)}, drafted on ${today} by \`retentiond init\` from the names and`,
    '# types of its tables; no row was read. Every period and every start below is a GUESS. Nothing here acts:',
    '# rules of `mode: report` are counted by `retentiond plan` and destroy nothing.',
    '#',
    '#   1. write who answers for it (owner) and where days are counted (timezone);',
    '#   2. go through the rules: is `start` what the period counts from, and `keep` what you promised?',
    '#   3. give every exemption a reason, or write a rule for its table;',
    '#   4. retentiond validate --database, then retentiond plan;',
    '#   5. `mode: enforce` in a rule that is right. It acts once its plan was approved.',
    '#',
    '# docs/policy.md explains every key.',
    '',
    'version: 1',
    `policy: ${draft.policy}`,
    'owner: to be named # who answers for it, as: Data protection officer',
    'timezone: UTC # the zone of the people who promised, as: Europe/Paris',
    '',
    '# What the software wrote for "no end" and for "not known". A day that is missing here is a date like any other.',
    "sentinels: { open: ['9999-12-31'], invalid: ['1900-01-01', '1970-01-01'] }",
    '',
    'defaults:',
    '  mode: report',
    '',
    ...coverage(draft, today),
    '',
    'rules:',
    ...draft.rules.flatMap((rule) => [...renderRule(rule), '']),
  ]
    .join('\n')
    .trimEnd()
    .concat('\n')
}

function coverage({ schemas, exempt }: Draft, today: string): readonly string[] {
  const review = `${Number(today.slice(0, 4)) + 1}-${today.slice(5, 7)}-01`
  return [
    '# A table of these schemas that has no rule, goes along with none and is not exempt is a finding.',
    'coverage:',
    `  schemas: [${schemas.map((schema) => scalar(printName(schema))).join(', ')}]`,
    ...(exempt.length === 0
      ? []
      : [
          '  # Each needs a reason of yours, and a day by which somebody looks at it again.',
          '  exempt:',
          ...exempt.flatMap(({ table, why }) => [
            `    - table: ${scalar(printTable(table))}`,
            `      why: ${text(`drafted: ${why}`)}`,
            `      review: ${review}`,
          ]),
        ]),
  ]
}

function renderRule(rule: DraftRule): readonly string[] {
  const { id, table, keep } = rule
  return [
    `  - id: ${id}`,
    `    table: ${scalar(printTable(table))}`,
    ...renderSoftDeleted(rule),
    ...renderStart(rule.start),
    `    keep: ${keep.period} # GUESS: ${keep.why}`,
    ...renderAction(rule),
    ...renderTriggers(rule),
    ...renderReferences(rule.references),
  ]
}

function renderSoftDeleted({ softDeleted }: DraftRule): readonly string[] {
  if (softDeleted === null) return []
  const column = scalar(printName(softDeleted))
  return [
    '    # GUESS: rows that are marked as deleted, and the others; or `only` those, or `exclude` them.',
    `    soft_deleted: { column: ${column}, rows: include }`,
  ]
}

function renderStart({ source, column, unit, others }: DraftStart): readonly string[] {
  const instead = others.length === 0 ? '' : `; or: ${oneLine(others.slice(0, 5).join(', '))}`
  if (source === null) {
    const moves = movesWithChanges(column) ? ', though it may move with every change' : ''
    const start =
      unit === null
        ? scalar(printName(column))
        : `{ column: ${scalar(printName(column))}, unit: ${unit} }`
    return [`    start: ${start} # GUESS by its name${moves}${instead}`]
  }
  const by = [...source.by].map(
    ([from, to]) => `${scalar(printName(from))}: ${scalar(printName(to))}`,
  )
  return [
    `    # GUESS: it has no date of its own, so the last of what refers to it counts${instead}`,
    '    start:',
    `      latest: ${scalar(`${printTable(source.table)}.${printName(column)}`)}`,
    `      by: { ${by.join(', ')} }`,
    '      none: report # without any: reported, never due',
  ]
}

function renderAction({ masks }: DraftRule): readonly string[] {
  if (masks === null) return ['    then: purge']
  return [
    '    # Other tables refer to these rows, so they stay, without the person in them.',
    '    then:',
    '      anonymise:',
    ...masks.map((mask) => `        ${scalar(printName(mask.column))}: ${strategy(mask)}`),
  ]
}

function strategy(mask: DraftMask): string {
  switch (mask.kind) {
    case 'nothing':
      return 'nothing'
    case 'year':
      return '{ truncate: year }'
    case 'network':
      return '{ network: { v4: 24, v6: 48 } }'
    case 'constant':
    case 'template':
    case 'keep':
      return `{ ${mask.kind}: ${text(mask.text)} }`
    default:
      return mask satisfies never
  }
}

function renderTriggers({ triggers }: DraftRule): readonly string[] {
  if (triggers.length === 0) return []
  return [
    '    # These fire when the rule acts, and may copy or restore what is destroyed: read them before `mode: enforce`.',
    `    triggers: { acknowledge: [${triggers.map((name) => text(name)).join(', ')}] }`,
  ]
}

const MEANING = {
  own_rule: 'has a rule of its own; a purge waits for its rows',
  with_parent: 'GUESS: has no date, so its rows go along',
  block: 'cannot have a rule as it is; rows that it refers to stay',
} as const

function renderReferences(references: readonly DraftReference[]): readonly string[] {
  if (references.length === 0) return []
  return [
    '    references:',
    ...references.map(
      ({ table, as }) => `      ${scalar(printTable(table))}: ${as} # ${MEANING[as]}`,
    ),
  ]
}

/** A word of YAML that means itself, or the text in quotes. */
function scalar(word: string): string {
  const plain =
    /^[A-Za-z_][\w.-]*$/.test(word) && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(word)
  return plain ? word : text(word)
}

function text(words: string): string {
  return `'${oneLine(words).replaceAll("'", "''")}'`
}

/** A name may hold a line break, and would end a comment or a quoted text there. */
function oneLine(words: string): string {
  return words.replaceAll(/[\p{Cc}\u2028\u2029]+/gu, ' ')
}
