import { visible } from '../policy/visible.ts'
import { WIDTH } from './wrap.ts'

const GAP = '  '

/**
 * Lays rows out in columns that fit on a line: where they do not, the longest texts are cut first.
 * The columns in `numbers` stand to the right, and are never cut.
 */
export function layOut(
  rows: readonly (readonly string[])[],
  numbers: ReadonlySet<number>,
): readonly string[] {
  const shown = rows.map((row) => row.map((cell) => visible(cell)))
  const widths = (shown[0] ?? []).map((_, at) =>
    Math.max(...shown.map((row) => row[at]?.length ?? 0)),
  )
  const room = WIDTH - GAP.length * (widths.length - 1)
  while (sum(widths) > room) {
    const longest = Math.max(...widths.filter((_, at) => !numbers.has(at)))
    if (longest <= 4) break
    const at = widths.findIndex((width, column) => width === longest && !numbers.has(column))
    widths[at] = longest - 1
  }
  return shown.map((row) =>
    row
      .map((cell, at) => {
        const width = widths[at] ?? 0
        return numbers.has(at) ? cell.padStart(width) : clip(cell, width).padEnd(width)
      })
      .join(GAP)
      .trimEnd(),
  )
}

function clip(cell: string, width: number): string {
  return cell.length <= width ? cell : `${cell.slice(0, width - 1)}…`
}

function sum(widths: readonly number[]): number {
  return widths.reduce((total, width) => total + width, 0)
}
