import { globSync, readFileSync } from 'node:fs'
import { join, normalize, dirname } from 'node:path'

export const ROOT = join(import.meta.dirname, '../..')

/** A file of the repository: its path from the root, and its text. */
export type Source = { readonly path: string; readonly text: string }

export function sources(pattern: string): readonly Source[] {
  return globSync(pattern, { cwd: ROOT })
    .toSorted()
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }))
}

/** What a file imports, types too: paths from the root for files of ours, names for the rest. */
export function imports({ path, text }: Source): readonly string[] {
  return [...text.matchAll(/(?:^|\n)(?:import|export)\b[^'"]*?from '([^']+)'/g)].map(
    ([, target = '']) => (target.startsWith('.') ? normalize(join(dirname(path), target)) : target),
  )
}

/** Every file and package that `path` needs, itself included. */
export function reach(path: string, all: ReadonlyMap<string, Source>): ReadonlySet<string> {
  const met = new Set([path])
  for (const next of met) {
    const source = all.get(next)
    for (const target of source === undefined ? [] : imports(source)) met.add(target)
  }
  return met
}
