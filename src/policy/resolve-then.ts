/** The actions of a rule as it was written, each with its period and its name. */
import { checkPhases } from './check-phases.ts'
import type { PolicyHeader, RuleDocument } from './document.ts'
import type { PhaseDocument } from './document-then.ts'
import { isMapping } from './fault.ts'
import type { Fault, PathPart } from './fault.ts'
import type { Action, Rule, RuleSource } from './policy.ts'
import { withExempt } from './resolve-coverage.ts'
import { strategyOf } from './resolve-masks.ts'

/** What tells one phase of a rule from the others. */
export type Acting = Pick<Rule, 'id' | 'phase' | 'keep' | 'action'>

/** `place` is where the action stands in its rule. */
export type Step = { readonly acting: Acting; readonly place: readonly PathPart[] }

/** The one action of a rule, or its phases; none, if it cannot be told what they are. */
export function stepsOf(
  document: RuleDocument,
  policy: Pick<PolicyHeader, 'coverage'>,
  faults: Fault[],
): readonly Step[] {
  faults.push(...keepFaults(document, []))
  const { id, keep, then, table } = document
  if (!Array.isArray(then)) {
    if (keep === undefined) return []
    const place = ['then']
    const written = onlyAction(then === 'purge' ? { purge: true } : then, place, faults)
    if (written === undefined) return []
    const action = resolveAction(written, { place, table, policy, faults })
    return [{ acting: { id, phase: null, keep, action }, place }]
  }
  const written = then.flatMap((phase, index) => {
    const place = ['then', index]
    const { after: _after, ...actions } = phase
    const action = onlyAction(actions, place, faults)
    if (action === undefined) return []
    return [
      { keep: phase.after, place, action: resolveAction(action, { place, table, policy, faults }) },
    ]
  })
  if (written.length < then.length) return []
  faults.push(...checkPhases(written, document.within ?? null))
  const named = new Map<string, number>()
  return written.map(({ keep: after, action, place }, index) => {
    const before = named.get(action.kind) ?? 0
    named.set(action.kind, before + 1)
    const name = `${id}.${action.kind}${before === 0 ? '' : `-${before + 1}`}`
    const phase = { rule: id, number: index + 1, of: written.length }
    return { acting: { id: name, phase, keep: after, action }, place }
  })
}

/** A rule has a period of its own, or phases that have theirs. `found` is what was said of it before. */
export function keepFaults(raw: unknown, found: readonly Fault[]): readonly Fault[] {
  if (!isMapping(raw)) return []
  const phased = Array.isArray(raw['then'])
  const isThere = raw['keep'] !== undefined
  if (phased && isThere) {
    const message =
      'each phase says by `after` how long it keeps: there is nothing else to keep for'
    const path = ['keep']
    return [{ code: 'keep_with_phases', message, remedy: 'remove this line', path, on: 'key' }]
  }
  const misspelt = found.some(
    ({ path, remedy }) => path.length === 1 && remedy === 'did you mean keep?',
  )
  if (phased || isThere || misspelt) return []
  return [
    { code: 'missing_key', message: '"keep" is missing', remedy: 'add keep:', path: ['keep'] },
  ]
}

/** Problems of `then` and `keep` stand where the phase was written. */
export function placedAt(source: RuleSource, place: readonly PathPart[]): RuleSource {
  if (place.length === 1) return source
  return {
    file: source.file,
    problem: ([first, ...rest], problem) => {
      if (first === 'then') return source.problem([...place, ...rest], problem)
      if (first === 'keep') return source.problem([...place, 'after'], problem)
      return source.problem(first === undefined ? [] : [first, ...rest], problem)
    },
  }
}

type Written = Partial<Omit<PhaseDocument, 'after'>>

function onlyAction(
  written: Written,
  place: readonly PathPart[],
  faults: Fault[],
): Written | undefined {
  const named = Object.keys(written)
  if (named.length === 1) return written
  const message =
    named.length === 0
      ? 'nothing is said to be done here'
      : `a rule or a phase does one thing, not ${named.join(' and ')}`
  const remedy = 'say block, anonymise or purge; several of them are a list of phases'
  faults.push({ code: 'action_not_one', message, remedy, path: place })
  return undefined
}

type Around = {
  readonly place: readonly PathPart[]
  readonly table: Rule['table']
  readonly policy: Pick<PolicyHeader, 'coverage'>
  readonly faults: Fault[]
}

function resolveAction(written: Written, { place, table, policy, faults }: Around): Action {
  if (written.block !== undefined) {
    const { archive, along = [] } = written.block
    return { kind: 'block', archive, along }
  }
  if (written.anonymise === undefined) return { kind: 'purge' }
  const path = [...place, 'anonymise']
  const masks = Object.entries(written.anonymise).map(([column, strategy]) => ({
    column,
    strategy: strategyOf(strategy),
  }))
  if (masks.every(({ strategy }) => strategy.kind === 'keep')) {
    const message = 'every column is kept: this rule would change nothing'
    faults.push({ code: 'mask_missing', message, remedy: 'name the columns to overwrite', path })
  }
  return withExempt({ kind: 'anonymise', masks }, { table, path }, policy, faults)
}
