/** Guesses from names and types alone: no value of a row is read, nor a statistic made of values. */
import { columnOf, rowKey, type Column, type Table } from '../catalog/catalog.ts'
import { isStructural } from '../catalog/fit-masks.ts'

/** What a first draft writes into a column; `keep` leaves it, for a person to decide. */
export type DraftMask = { readonly column: string } & (
  | { readonly kind: 'nothing' | 'year' | 'network' }
  | { readonly kind: 'constant' | 'template' | 'keep'; readonly text: string }
)

const DATE_TYPES = new Set(['date', 'timestamp', 'timestamptz'])

/** Words of column names that mostly stand for a person, in English and French. */
const PERSONAL = new Set(
  `email mail courriel phone tel telephone mobile portable cell fax firstname lastname surname
  forename fullname nickname maiden nom prenom prenoms patronyme address adresse street rue city
  ville town zip zipcode postal postcode cp birth birthday birthdate dob born naissance iban bic rib
  ssn nir insee passport passeport siret ip device login username user_name pseudo password passwd
  hash secret token avatar photo picture portrait signature gender sexe sex nationality nationalite
  latitude longitude lat lng lon geo note notes comment comments commentaire remark remarks remarque
  card carte account compte company societe position civilite salutation composer`.split(/\s+/),
)

/** Of these tables a plain `name` is that of a person. */
const PEOPLE =
  /(customer|client|user|utilisateur|account|contact|person|personne|people|employee|employe|staff|member|membre|patient|subscriber|abonne|prospect|lead|actor|author|candidate|applicant|student|eleve)/i

/** Dates that say nothing about when a record began or ended. */
const NO_START = /(birth|birthday|dob|born|naissance|ne_le)/i

const START_RANKS: readonly RegExp[] = [
  /^(created|creation|cree|inserted|recorded|registered|logged|enregistre|inscrit)|(created|creation|cree)(_|$)|^date_creation/i,
  /^(at|on|date|time|timestamp|day|jour|horodatage)$/i,
  /(occurred|happened|issued|ordered|placed|paid|sent|received|opened|invoice|order|payment|rental|hire|start|begin|debut|emis|recu)/i,
  /(_at|_on|_date|_time|_le|_ts)$|^date_/i,
]

/** A change of any kind moves these, and a future date says when something will be. */
const LATE = /(updat|modif|last_|change|maj|expir|valid|until|due|deleted|removed|archiv|end)/i

/** The columns that may say when a period starts, the likeliest first. */
export function startCandidates(table: Table): readonly Column[] {
  return table.columns
    .filter((column) => DATE_TYPES.has(column.baseType) && !NO_START.test(column.name))
    .map((column, position) => ({ column, rank: rankOf(column), position }))
    .toSorted((one, other) => one.rank - other.rank || one.position - other.position)
    .map(({ column }) => column)
}

/** A period that starts again with every change ends never, or when somebody repairs the data. */
export function movesWithChanges(name: string): boolean {
  return /(updat|modif|last_|change|maj)/i.test(name)
}

/** The unit of a whole number that counts from 1970, by its name; null if the name says nothing. */
export function epochUnit({ name, baseType }: Column): 'seconds' | 'milliseconds' | null {
  if (baseType !== 'int8' && baseType !== 'int4') return null
  if (!/(_at|_on|_ts|timestamp|epoch|_ms)$/i.test(name) || NO_START.test(name)) return null
  return /(_ms|millis)/i.test(name) ? 'milliseconds' : 'seconds'
}

function rankOf({ name, notNull }: Column): number {
  const rank = LATE.test(name) ? 8 : START_RANKS.findIndex((pattern) => pattern.test(name))
  return (rank < 0 ? 6 : rank) * 2 + (notNull ? 0 : 1)
}

/** True if the name or the type of the column is one that mostly stands for a person. */
export function looksPersonal(column: Column, table: Table): boolean {
  if (['inet', 'cidr', 'macaddr', 'macaddr8'].includes(column.baseType)) return true
  const words = wordsOf(column.name)
  if (words.includes('name') || words.includes('nom')) {
    return words.length > 1
      ? !/(file|table|host|domain|field)/.test(column.name)
      : PEOPLE.test(table.name)
  }
  return words.some((word) => PERSONAL.has(word)) || PERSONAL.has(column.name.toLowerCase())
}

function wordsOf(name: string): readonly string[] {
  return name
    .replaceAll(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .normalize('NFD')
    .replaceAll(/\p{M}/gu, '')
    .split(/[^a-z]+/)
    .filter((word) => word !== '')
}

/** What an anonymisation of the table writes: something for likely personal data, a reason for the rest. */
export function draftMasks(table: Table, deciding: ReadonlySet<string>): readonly DraftMask[] {
  return table.columns
    .filter((column) => !isStructural(column, table))
    .map((column): DraftMask => {
      const { name } = column
      if (deciding.has(name)) {
        return { column: name, kind: 'keep', text: 'it says when the period starts' }
      }
      if (!looksPersonal(column, table)) {
        return { column: name, kind: 'keep', text: 'review: does it say anything about a person?' }
      }
      return fittingMask(column, table)
    })
}

/** Of a column that is likely personal, and into which nothing fits that could be guessed. */
function undecided(column: string): DraftMask {
  const why = 'review: likely personal, and nothing that could be guessed fits; choose a strategy'
  return { column, kind: 'keep', text: why }
}

function fittingMask(column: Column, table: Table): DraftMask {
  const { name } = column
  const key = rowKey(table)?.columns.includes(name) === true
  const unique = table.keys.some(({ columns }) => columns.includes(name))
  const nullsEqual = table.keys.some((each) => each.nullsEqual && each.columns.includes(name))
  if (!key && !column.notNull && !nullsEqual) return { column: name, kind: 'nothing' }
  if (!key && !unique && DATE_TYPES.has(column.baseType)) return { column: name, kind: 'year' }
  if (!key && !unique && column.type.name === 'inet') return { column: name, kind: 'network' }
  const isText = ['text', 'varchar', 'bpchar', 'citext'].includes(column.type.name)
  if (key || !isText) return undecided(name)
  const room = column.maxLength ?? Number.POSITIVE_INFINITY
  if (!unique && !/mail|courriel/i.test(name)) {
    return { column: name, kind: 'constant', text: 'Anonymised'.slice(0, Math.min(room, 10)) }
  }
  const text = /mail|courriel/i.test(name) ? '{key}@anonymised.invalid' : 'anonymised-{key}'
  const longest = text.length - '{key}'.length + longestKey(table)
  if (longest <= room) return { column: name, kind: 'template', text }
  if (!unique) return { column: name, kind: 'constant', text: 'Anonymised'.slice(0, room) }
  return longestKey(table) <= room
    ? { column: name, kind: 'template', text: '{key}' }
    : undecided(name)
}

/** Most characters of a key as text, by its types. */
function longestKey(table: Table): number {
  const lengths: Readonly<Record<string, number>> = { int2: 6, int4: 11, int8: 20, uuid: 36 }
  return (rowKey(table)?.columns ?? []).reduce((sum, name) => {
    const column = columnOf(table, name)
    return sum + 1 + (column?.maxLength ?? lengths[column?.baseType ?? ''] ?? 60)
  }, -1)
}
