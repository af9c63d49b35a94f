/** Lays rows out in columns two spaces apart; the last column is not padded. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of rows) {
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length)
  }
  return rows
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** Prints a value as indented JSON with its schema version first. */
export function json(schemaVersion: number, value: Readonly<Record<string, unknown>>): string {
  return `${JSON.stringify({ schema_version: schemaVersion, ...value }, null, 2)}\n`
}
