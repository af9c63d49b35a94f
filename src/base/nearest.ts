// Longer names are no slips of the finger, and the comparison costs the product of both lengths.
const LONGEST = 130

/**
 * The known names that a misspelt one most likely means, best first, at most three: those within a
 * third of its length in edit distance, and those that agree with it but for a schema, also one that
 * was not written.
 */
export function nearest(written: string, known: readonly string[]): readonly string[] {
  if (written.length > LONGEST) return []
  const wanted = fold(written)
  const most = Math.max(1, Math.round(wanted.length / 3))
  return known
    .map((name) => ({ name, distance: distanceOf(written, name, most) }))
    .filter(({ distance }) => distance <= most)
    .toSorted((one, other) => one.distance - other.distance)
    .slice(0, 3)
    .map(({ name }) => name)
}

/** The best of the nearest names, or undefined if none is near. */
export function closest(written: string, known: readonly string[]): string | undefined {
  return nearest(written, known)[0]
}

/** `did you mean a, b or c?`, or undefined if nothing is near. */
export function didYouMean(written: string, known: readonly string[]): string | undefined {
  const near = nearest(written, known)
  if (near.length === 0) return undefined
  const head = near.slice(0, -1).join(', ')
  return `did you mean ${head === '' ? '' : `${head} or `}${near.at(-1)}?`
}

function distanceOf(written: string, name: string, most: number): number {
  if (name.length > LONGEST || Math.abs(name.length - written.length) > most + 2) {
    return differsInSchemaOnly(written, name) ? 1 : Number.POSITIVE_INFINITY
  }
  return differsInSchemaOnly(written, name) ? 1 : editDistance(fold(written), fold(name))
}

/** `crm.customers` for `public.customers`: a table is looked for in the wrong schema. */
function differsInSchemaOnly(written: string, name: string): boolean {
  if (written === name || !name.includes('.')) return false
  return afterDot(written) === afterDot(name)
}

function afterDot(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1)
}

/** Case and the sign between words are what people get wrong without noticing. */
function fold(name: string): string {
  return name.toLowerCase().replaceAll(/[-_ ]/g, '')
}

/** Counts insertions, deletions, replacements and swaps of neighbours (optimal string alignment). */
function editDistance(one: string, other: string): number {
  let older: readonly number[] = []
  let above: readonly number[] = Array.from({ length: other.length + 1 }, (_, index) => index)
  for (let i = 1; i <= one.length; i += 1) {
    const row = [i]
    for (let j = 1; j <= other.length; j += 1) {
      const same = one[i - 1] === other[j - 1]
      let cost = Math.min(
        (above[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (above[j - 1] ?? 0) + (same ? 0 : 1),
      )
      const swapped = one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1]
      if (i > 1 && j > 1 && swapped) cost = Math.min(cost, (older[j - 2] ?? 0) + 1)
      row.push(cost)
    }
    older = above
    above = row
  }
  return above[other.length] ?? 0
}
