import { printTable } from '../base/names.ts'
import type { Json } from '../base/canonical.ts'
import type { PseudonymKey } from '../policy/pseudonym-key.ts'
import { strategyJson, type Strategy } from '../policy/strategy.ts'
import type { Column, Table } from './catalog.ts'
import { PSEUDONYM_TAG, type Written } from './fitted.ts'
import type { Report } from './fit-table.ts'

/** What a strategy is fitted with, beside the column. */
export type Surroundings = {
  readonly table: Table
  /** Zone in which the rule counts days, and so in which a time is truncated. */
  readonly zone: string
  /** Null: none is set, and nothing can be pseudonymised. */
  readonly pseudonyms: PseudonymKey | null
  readonly report: Report
}

type Refuse = (code: string, message: string, remedy: string) => undefined

/** Digits of a whole pseudonym: 128 bits of the value, and its tag. */
const PSEUDONYM_LENGTH = 32 + PSEUDONYM_TAG
/** With fewer than 64 bits two values of a large table may get the same. */
const SHORTEST_PSEUDONYM = 16 + PSEUDONYM_TAG
/** Fewer random digits are likely to come twice in a table of a million rows. */
const SHORTEST_UNIQUE = 16

/** What the strategy writes into the column; undefined if it is kept, or if that was reported. */
export function fitStrategy(
  strategy: Strategy,
  column: Column,
  around: Surroundings,
): Written | undefined {
  if (strategy.kind === 'keep') return undefined
  const refuse: Refuse = (code, message, remedy) => {
    around.report(['then', 'anonymise', column.name], code, message, remedy)
  }
  if (strategy.kind === 'nothing') return fitNothing(column, around.table, refuse)
  if (!takes(strategy, column, refuse)) return undefined
  switch (strategy.kind) {
    case 'constant':
      return fitLength({ kind: 'constant', text: String(strategy.value) }, column, refuse)
    case 'template':
      return fitLength({ kind: 'template', text: strategy.text }, column, refuse)
    case 'random':
      return fitRandom(strategy.length, column, around.table, refuse)
    case 'pseudonym':
      return fitPseudonym(column, around.pseudonyms, refuse)
    case 'truncate':
      return changesDate(strategy.unit, column, refuse)
        ? { kind: 'truncate', unit: strategy.unit, zone: around.zone }
        : undefined
    case 'bucket':
      return fitBucket(strategy.size, column, refuse)
    case 'round':
    case 'network':
    case 'partial':
    case 'json':
    case 'pattern':
      return strategy
    default:
      return strategy satisfies never
  }
}

/** The part of a mask that decides what is written, for its digest. */
export function writtenJson(written: Written): Json {
  switch (written.kind) {
    case 'nothing':
      return { kind: written.kind, text: '' }
    case 'constant':
    case 'template':
      return { kind: written.kind, text: written.text }
    case 'pseudonym':
      // Without the key: rows marked under an older one keep the pseudonym that they have.
      return { kind: written.kind, length: written.length }
    case 'truncate':
      return { ...written }
    case 'bucket':
      return { ...written }
    case 'random':
    case 'partial':
    case 'round':
    case 'network':
    case 'json':
    case 'pattern':
      return strategyJson(written)
    default:
      return written satisfies never
  }
}

type Accepted = { readonly types: readonly string[]; readonly text: boolean }

const TEXT: Accepted = { types: [], text: true }

/** Types by their names in pg_type, and whether any type of text will do. */
const ACCEPTED: Readonly<
  Record<Exclude<Strategy['kind'], 'nothing' | 'constant' | 'keep'>, Accepted>
> = {
  template: TEXT,
  random: TEXT,
  pseudonym: TEXT,
  partial: TEXT,
  pattern: TEXT,
  truncate: { types: ['date', 'timestamp', 'timestamptz'], text: false },
  bucket: { types: ['int2', 'int4', 'int8', 'numeric', 'float4', 'float8'], text: false },
  round: { types: ['numeric', 'float4', 'float8', 'point'], text: false },
  network: { types: ['inet', 'cidr'], text: true },
  json: { types: ['json', 'jsonb'], text: false },
}

function takes(strategy: Strategy, column: Column, refuse: Refuse): boolean {
  if (strategy.kind === 'nothing' || strategy.kind === 'constant' || strategy.kind === 'keep') {
    return true
  }
  const { types, text } = ACCEPTED[strategy.kind]
  if (text && column.category === 'S') return true
  if (types.includes(column.baseType)) return true
  if (types.length === 0) {
    refuse(
      'mask_not_text',
      `${column.name} is ${column.typeText}: a ${strategy.kind} makes text`,
      'use nothing or a constant of that type',
    )
    return false
  }
  refuse(
    'mask_wrong_type',
    `${column.name} is ${column.typeText}: ${strategy.kind} takes ${[...types, ...(text ? ['text'] : [])].join(', ')}`,
    'use nothing or a constant of that type',
  )
  return false
}

function fitNothing(column: Column, table: Table, refuse: Refuse): Written | undefined {
  if (!column.notNull) return { kind: 'nothing' }
  return refuse(
    'mask_not_null',
    `${printTable(table)}.${column.name} is not null`,
    'use a constant or a template with {key}',
  )
}

function fitLength(
  written: Extract<Written, { readonly text: string }>,
  column: Column,
  refuse: Refuse,
): Written | undefined {
  const varies = written.kind === 'template' && written.text.includes('{key}')
  // By the code point, as PostgreSQL counts.
  const length = Array.from(written.text.replaceAll('{key}', '')).length + (varies ? 1 : 0)
  if (column.maxLength === null || length <= column.maxLength) return written
  return tooLong(column, `${length} or more`, refuse)
}

function tooLong(column: Column, length: string, refuse: Refuse): undefined {
  return refuse(
    'mask_too_long',
    `${column.name} holds ${column.maxLength ?? 0} characters, the mask has ${length}`,
    'use a shorter text',
  )
}

function fitRandom(
  length: number,
  column: Column,
  table: Table,
  refuse: Refuse,
): Written | undefined {
  if (column.maxLength !== null && length > column.maxLength) {
    return tooLong(column, String(length), refuse)
  }
  const unique = table.keys.find(
    ({ columns }) => columns.length === 1 && columns[0] === column.name,
  )
  if (unique === undefined || length >= SHORTEST_UNIQUE) return { kind: 'random', length }
  return refuse(
    'mask_not_unique',
    `${column.name} is unique (${unique.name}): ${length} random digits may come twice`,
    `use random: ${SHORTEST_UNIQUE} or more, or a template with {key}`,
  )
}

function fitPseudonym(
  column: Column,
  key: PseudonymKey | null,
  refuse: Refuse,
): Written | undefined {
  const length = Math.min(PSEUDONYM_LENGTH, column.maxLength ?? PSEUDONYM_LENGTH)
  if (length < SHORTEST_PSEUDONYM) {
    return tooLong(column, `${SHORTEST_PSEUDONYM} or more`, refuse)
  }
  if (key !== null) return { kind: 'pseudonym', length, key }
  return refuse(
    'pseudonym_key_missing',
    `${column.name} is to be pseudonymised, and no key is set`,
    'openssl rand -hex 32 > pseudonym.key; chmod 600 pseudonym.key; set RETENTIOND_PSEUDONYM_KEY_FILE to it',
  )
}

function changesDate(unit: string, column: Column, refuse: Refuse): boolean {
  if (column.baseType !== 'date' || !['day', 'hour', 'minute'].includes(unit)) return true
  refuse(
    'mask_changes_nothing',
    `${column.name} is a date: its ${unit} is what it is`,
    'truncate it to week, month, quarter or year',
  )
  return false
}

function fitBucket(size: number, column: Column, refuse: Refuse): Written | undefined {
  const whole = column.baseType.startsWith('int')
  if (!whole || (Number.isInteger(size) && size > 1)) {
    // Not in exponents, which PostgreSQL would read as well but no person expects in a digest.
    return { kind: 'bucket', size: decimal(size) }
  }
  return refuse(
    'mask_changes_nothing',
    `${column.name} is ${column.typeText}: multiples of ${size} are no coarser than it is`,
    'use a whole number above 1',
  )
}

function decimal(size: number): string {
  return size.toFixed(6).replace(/\.?0+$/, '')
}
