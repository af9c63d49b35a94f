import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')

export type Example = {
  /** Where it stands. */
  readonly place: string
  /** The id of its policy and that of its first rule. */
  readonly name: string
  readonly text: string
}

/** The YAML blocks of a document, each with the line it begins on. */
export function examplesIn(document: string): readonly Example[] {
  const text = readFileSync(join(ROOT, document), 'utf8')
  return [...text.matchAll(/^```yaml\n(.*?)^```$/gms)].map((match) => {
    const [, example = ''] = match
    const [, policy] = /^policy: (\S+)/m.exec(example) ?? []
    const [, rule] = /- \{? ?id: ([\w-]+)/.exec(example) ?? []
    return {
      place: `${document}:${text.slice(0, match.index).split('\n').length + 1}`,
      name: `${policy}.${rule}`,
      text: example,
    }
  })
}

/** The examples of all documents that tell how to write a policy. */
export const EXAMPLES = ['docs/policy.md', 'README.md'].flatMap((document) => examplesIn(document))
