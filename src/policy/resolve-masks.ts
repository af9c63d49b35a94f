import type { WrittenStrategy } from './document-masks.ts'
import { readJsonPath } from './json-path.ts'
import type { JsonMember, Strategy } from './strategy.ts'

/** The strategy as the program means it, with what a policy may leave out. */
export function strategyOf(written: WrittenStrategy): Strategy {
  if (written === 'nothing' || written === 'pseudonym') return { kind: written }
  if (written.constant !== undefined) return { kind: 'constant', value: written.constant }
  if (written.template !== undefined) return { kind: 'template', text: written.template }
  if (written.random !== undefined) return { kind: 'random', length: written.random }
  if (written.truncate !== undefined) return { kind: 'truncate', unit: written.truncate }
  if (written.bucket !== undefined) return { kind: 'bucket', size: written.bucket }
  if (written.round !== undefined) return { kind: 'round', places: written.round }
  if (written.network !== undefined) return { kind: 'network', ...written.network }
  if (written.pattern !== undefined) return { kind: 'pattern', ...written.pattern }
  if (written.json !== undefined) return { kind: 'json', members: membersOf(written.json) }
  if (written.partial !== undefined) {
    const { first = 0, last = 0, with: character = '*' } = written.partial
    return { kind: 'partial', first, last, with: character }
  }
  return { kind: 'keep', why: written.keep ?? '' }
}

type WrittenMembers = NonNullable<Exclude<WrittenStrategy, string>['json']>

/** In the order of their paths: none leads into another, so the order decides nothing. */
function membersOf(written: WrittenMembers): readonly JsonMember[] {
  return Object.keys(written)
    .toSorted()
    .map((path) => {
      const mask = written[path]
      return {
        path: readJsonPath(path).value ?? [],
        value: mask === undefined || mask === 'nothing' ? null : mask.constant,
      }
    })
}
