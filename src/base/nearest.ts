/**
 * The candidates nearest to a misspelt name, best first, at most three: those within a third of
 * its length in edit distance (Levenshtein 1966), and those that agree but for the schema.
 */
export function nearest(name: string, candidates: readonly string[]): readonly string[] {
  const most = Math.max(2, Math.floor(name.length / 3))
  const last = lastPart(name)
  return candidates
    .map((candidate) => ({
      candidate,
      distance: lastPart(candidate) === last ? 1 : editDistance(name, candidate, most),
    }))
    .filter(({ distance }) => distance <= most)
    .toSorted((one, other) => one.distance - other.distance)
    .slice(0, 3)
    .map(({ candidate }) => candidate)
}

/** `did you mean a, b or c?`, or undefined if nothing is near. */
export function didYouMean(name: string, candidates: readonly string[]): string | undefined {
  const near = nearest(name, candidates)
  if (near.length === 0) return undefined
  const head = near.slice(0, -1).join(', ')
  return `did you mean ${head === '' ? '' : `${head} or `}${near.at(-1)}?`
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1)
}

/** Edit distance, or `most + 1` as soon as it is known to be more than `most`. */
function editDistance(one: string, other: string, most: number): number {
  if (Math.abs(one.length - other.length) > most) return most + 1
  let previous = Array.from({ length: other.length + 1 }, (_, column) => column)
  for (let row = 1; row <= one.length; row += 1) {
    const current = [row]
    for (let column = 1; column <= other.length; column += 1) {
      const replaced = (previous[column - 1] ?? 0) + (one[row - 1] === other[column - 1] ? 0 : 1)
      const removed = (previous[column] ?? 0) + 1
      const added = (current[column - 1] ?? 0) + 1
      current.push(Math.min(replaced, removed, added))
    }
    if (Math.min(...current) > most) return most + 1
    previous = current
  }
  return previous[other.length] ?? most + 1
}
