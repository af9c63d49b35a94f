import { below, hasControl, quote, refuse, refuseKind } from './fault.ts'
import type { Read } from './fault.ts'
import type { JsonStep } from './strategy.ts'

/** Deeper members are those of a document that wants a table of its own. */
const MOST_STEPS = 12
const LONGEST_PATH = 500

const STEP = /\.([A-Za-z_][\w-]*)|\["((?:[^"\\]|\\["\\])+)"\]|\[\*\]/y

/** Reads `$.contacts[*].email` or `$["e-mail"]`: names of members, and `[*]` for every item of a list. */
export function readJsonPath(raw: unknown): Read<readonly JsonStep[]> {
  if (typeof raw !== 'string') return refuseKind('a path as text', raw)
  if (raw.length > LONGEST_PATH || hasControl(raw)) {
    return refuse(
      'json_path_invalid',
      `${quote(raw)} is too long, or has a control character in it`,
    )
  }
  const steps = raw.startsWith('$') ? stepsOf(raw) : undefined
  if (steps === undefined || steps.length > MOST_STEPS) {
    const message = `${quote(raw)} is no path into a document`
    return refuse('json_path_invalid', message, 'write $.name, $["odd name"] or $.list[*].name')
  }
  if (steps.length > 0) return { value: steps }
  const message = 'this path is the whole document'
  return refuse('json_path_invalid', message, 'write nothing or a constant for the column instead')
}

function stepsOf(path: string): readonly JsonStep[] | undefined {
  const steps: JsonStep[] = []
  STEP.lastIndex = 1
  while (STEP.lastIndex < path.length) {
    const match = STEP.exec(path)
    if (match === null) return undefined
    const key = match[1] ?? match[2]?.replaceAll(/\\(.)/g, '$1')
    steps.push(key === undefined ? 'each' : { key })
  }
  return steps
}

/** Prints the steps in the one spelling by which paths are compared. */
export function printJsonPath(steps: readonly JsonStep[]): string {
  return `$${steps.map((step) => (step === 'each' ? '[*]' : `[${JSON.stringify(step.key)}]`)).join('')}`
}

/** Refuses a path that leads into what another one overwrites: the order would decide. */
export function overlap(paths: readonly string[]): Read<readonly string[]> {
  const printed = paths.flatMap((path) => {
    const steps = readJsonPath(path).value
    return steps === undefined ? [] : [{ path, text: printJsonPath(steps) }]
  })
  for (const [at, one] of printed.entries()) {
    const other = printed.find(({ text }, index) => index !== at && one.text.startsWith(text))
    if (other === undefined) continue
    const message = `${quote(one.path)} lies in what ${quote(other.path)} overwrites`
    const { faults } = refuse('json_path_overlaps', message, 'keep one of them')
    return { faults: below([one.path], faults ?? []) }
  }
  return { value: paths }
}
