import type { TableName } from '../base/names.ts'
import { hasControl, quote, refuse, refuseKind } from './fault.ts'
import type { Read } from './fault.ts'

/** A column with the table it stands in. */
export type TableColumn = { readonly table: TableName; readonly column: string }

/** PostgreSQL cuts longer names silently, and would then find another table or none. */
const MOST_BYTES = 63

/** Reads a column name, verbatim; `"a.b"` in double quotes holds signs that would mean something. */
export function readColumn(raw: unknown): Read<string> {
  const read = readDotted(raw, 'the name of a column')
  if (read.value === undefined) return read
  const [column, more] = read.value
  if (column === undefined || more !== undefined) {
    const message = `${quote(String(raw))} is not the name of one column`
    return refuse('column_name_invalid', message, 'write the column alone, without its table')
  }
  return { value: column }
}

/** Reads `schema.table`; there is no search path, so that no session can change what a rule means. */
export function readTable(raw: unknown): Read<TableName> {
  const read = readDotted(raw, 'a table as schema.table')
  if (read.value === undefined) return read
  const [schema, name, more] = read.value
  if (schema === undefined || name === undefined || more !== undefined) {
    const message = `${quote(String(raw))} does not name a table as schema.table`
    const remedy =
      name === undefined
        ? `write the schema too, for example public.${String(raw)}`
        : 'put double quotes around a name that has a dot in it'
    return refuse('table_name_invalid', message, remedy)
  }
  return { value: { schema, name } }
}

/** Reads the name of a schema, verbatim; in double quotes as a column is. */
export function readSchema(raw: unknown): Read<string> {
  const read = readDotted(raw, 'the name of a schema')
  if (read.value === undefined) return read
  const [schema, more] = read.value
  if (schema === undefined || more !== undefined) {
    const message = `${quote(String(raw))} is not the name of one schema`
    return refuse('schema_name_invalid', message, 'write the schema alone, without its tables')
  }
  return { value: schema }
}

/** Reads `schema.table.column`. */
export function readTableColumn(raw: unknown): Read<TableColumn> {
  const read = readDotted(raw, 'a column as schema.table.column')
  if (read.value === undefined) return read
  const [schema, name, column, more] = read.value
  if (schema === undefined || name === undefined || column === undefined || more !== undefined) {
    const message = `${quote(String(raw))} does not name a column as schema.table.column`
    return refuse('column_name_invalid', message, 'write the schema, the table and the column')
  }
  return { value: { table: { schema, name }, column } }
}

/** Reads `trigger` of the governed table (null), or `schema.table.trigger`. */
export function readTrigger(
  raw: unknown,
): Read<{ readonly table: TableName | null; readonly name: string }> {
  const read = readDotted(raw, 'the name of a trigger')
  if (read.value === undefined) return read
  const [first, second, third, more] = read.value
  if (first !== undefined && second === undefined) return { value: { table: null, name: first } }
  if (first === undefined || second === undefined || third === undefined || more !== undefined) {
    const message = `${quote(String(raw))} does not name a trigger`
    const remedy = 'write its name, or schema.table.trigger for one of a table that goes along'
    return refuse('trigger_name_invalid', message, remedy)
  }
  return { value: { table: { schema: first, name: second }, name: third } }
}

/** Reads a column of the governed table, or `schema.table.column`. */
export function readAnyColumn(
  raw: unknown,
): Read<{ readonly table: TableName | null; readonly column: string }> {
  const read = readDotted(raw, 'the name of a column')
  if (read.value === undefined) return read
  if (read.value.length > 1) return readTableColumn(raw)
  const column = readColumn(raw)
  return column.value === undefined ? column : { value: { table: null, column: column.value } }
}

/** Reads the id of a policy or a rule: it is a word of file names, metrics and the journal. */
export function readId(raw: unknown): Read<string> {
  if (typeof raw !== 'string') return refuseKind('an id as text', raw)
  if (/^[a-z][a-z0-9_-]{0,62}$/.test(raw)) return { value: raw }
  const suggestion = raw
    .slice(0, 63)
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]/g, '-')
    .replace(/^[^a-z]+/, '')
  const message = `${quote(raw)} is not an id: a-z, 0-9, - and _, beginning with a letter, at most 63`
  return refuse('id_invalid', message, suggestion === '' ? undefined : `write ${suggestion}`)
}

/** Splits at the dots outside double quotes, and takes the quotes off. */
function readDotted(raw: unknown, expected: string): Read<readonly string[]> {
  if (typeof raw !== 'string') return refuseKind(`${expected}, as text`, raw)
  // Four names of 63 bytes with every sign quoted are longer than any reference we know.
  if (raw.length > 600) return refuse('name_too_long', `${quote(raw)} is too long to be a name`)
  const parts: string[] = []
  let rest: string | undefined = raw
  while (rest !== undefined) {
    const match: RegExpExecArray | null = /^(?:"((?:[^"]|"")*)"|([^".]*))(?:\.([^]*))?$/.exec(rest)
    if (match === null) {
      return refuse(
        'name_invalid',
        `${quote(raw)} has a double quote inside a name`,
        'put double quotes around the whole name, and write a quote in it twice',
      )
    }
    const part = match[1]?.replaceAll('""', '"') ?? match[2] ?? ''
    const wrong = whatIsWrong(part)
    if (wrong !== undefined) {
      const remedy =
        part === '' && raw !== ''
          ? 'a dot parts schema, table and column: put double quotes around a name that has one in it'
          : undefined
      return refuse('name_invalid', `${quote(raw)} ${wrong}`, remedy)
    }
    parts.push(part)
    rest = match[3]
  }
  return { value: parts }
}

function whatIsWrong(name: string): string | undefined {
  if (name === '') return 'has an empty name in it'
  if (hasControl(name)) return 'has a control character in a name'
  if (name !== name.trim()) return 'has a space at the end of a name'
  const bytes = Buffer.byteLength(name, 'utf8')
  if (bytes > MOST_BYTES)
    return `has a name of ${bytes} bytes; PostgreSQL knows at most ${MOST_BYTES}`
  return undefined
}
