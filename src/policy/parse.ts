import type { Parsed, Problem } from '../base/problem.ts'
import { checkSet } from './check.ts'
import { holdsInArchives, withArchives } from './archives.ts'
import { belowFloor, idleFloors, withFloors } from './check-floors.ts'
import { idleCovers, maskedHolds, withHolds } from './check-holds.ts'
import { setDigest } from './digest.ts'
import { PolicyHeader, RuleDocument } from './document.ts'
import { isMapping, kindOf } from './fault.ts'
import type { Fault, PathPart } from './fault.ts'
import { faultsOf } from './issues.ts'
import type { Floor, HoldSource, Policy, PolicySet, Rule, RuleSource } from './policy.ts'
import { byPlace } from './render.ts'
import { coverageOf } from './resolve-coverage.ts'
import { resolveRule, sentinelFaults } from './resolve.ts'
import { keepFaults } from './resolve-then.ts'
import type { PolicyValues } from './resolve.ts'
import { policyText, problemAt } from './text.ts'
import { placeOf, readYaml } from './yaml.ts'
import type { YamlSource } from './yaml.ts'

/** A file as it was read. */
export type PolicyFileText = { readonly file: string; readonly text: string }

/** Largest policy file: a thousand rules are a tenth of it. */
export const MOST_FILE_BYTES = 1024 * 1024

/** More problems than a person reads; a file with more is of another kind or an attack. */
const MOST_PROBLEMS = 200

type PolicyFile = {
  readonly policy: { readonly value: Policy; readonly source: RuleSource } | undefined
  readonly rules: readonly Rule[]
  readonly holds: readonly HoldSource[]
  readonly floors: readonly Floor[]
  readonly problems: readonly Problem[]
}

/**
 * Parses the files of a policy folder into one set, or reports everything wrong with all of them at
 * once, sorted by place. Reads nothing but the texts.
 */
export function parsePolicies(files: readonly PolicyFileText[]): Parsed<PolicySet> {
  const parsed = files.map(parseFile)
  const found = parsed.flatMap(({ policy }) => (policy === undefined ? [] : [policy]))
  const everywhere = withArchives(parsed.flatMap((file) => file.rules))
  const written = everywhere.toSorted((a, b) => (a.id < b.id ? -1 : 1))
  const placed = parsed.flatMap((file) => file.holds)
  const holds = holdsInArchives(placed, written)
  const floors = parsed.flatMap((file) => file.floors)
  const rules = withFloors(withHolds(written, holds), floors)
  const unread = parsed.flatMap((file) => file.problems)
  const problems = [
    ...unread,
    ...checkSet(found, rules, unread.length > 0),
    ...maskedHolds(rules, holds),
    ...belowFloor(rules),
    ...(unread.length > 0 ? [] : [...idleCovers(rules, holds), ...idleFloors(rules, floors)]),
  ]
  if (files.length === 0) {
    const message = 'there is no policy'
    problems.push({ code: 'policies_missing', at: '', path: '', message, remedy: 'write one' })
  }
  if (problems.length > 0) return { problems: distinct(problems).toSorted(byPlace) }
  const policies = found.map(({ value }) => value)
  return { value: { policies, rules, holds, digest: setDigest(policies, rules, holds) } }
}

/** Phases of one rule have their mistakes in common, which need not be said for each of them. */
function distinct(problems: readonly Problem[]): readonly Problem[] {
  return [...new Map(problems.map((problem) => [JSON.stringify(problem), problem])).values()]
}

function parseFile({ file, text }: PolicyFileText): PolicyFile {
  const source = policyText(file, text.startsWith('\ufeff') ? text.slice(1) : text)
  if (text.length > MOST_FILE_BYTES) {
    const fault = { code: 'file_too_large', message: 'a policy file is at most 1 MiB' }
    return refused([
      problemAt({ ...source, text: '', lines: [0] }, { start: 0, end: 0 }, [], fault),
    ])
  }
  const yaml = readYaml(source)
  if (yaml.value === undefined) return refused(yaml.problems)
  const gross = grossFault(yaml.value.value)
  if (gross !== undefined) return refused([...yaml.value.refused, problemOf(yaml.value, gross)])
  return withRefused(yaml.value.refused, parseDocument(yaml.value))
}

/** What YAML was refused at a place also makes the value there wrong, which need not be said twice. */
function withRefused(first: readonly Problem[], parsed: PolicyFile): PolicyFile {
  const said = new Set(first.map(({ at }) => at))
  const others = parsed.problems.filter(
    ({ at, code }) => code.endsWith('_missing') || code === 'missing_key' || !said.has(at),
  )
  return { ...parsed, problems: [...first, ...others].slice(0, MOST_PROBLEMS) }
}

function refused(problems: readonly Problem[]): PolicyFile {
  return { policy: undefined, rules: [], holds: [], floors: [], problems }
}

/** The mistakes for which one sentence says more than a list of missing keys. */
function grossFault(raw: unknown): Fault | undefined {
  const begin = 'begin with version: 1, policy:, owner:, timezone: and rules:'
  if (raw === null) {
    return { code: 'file_empty', message: 'this file holds no policy', remedy: begin, path: [] }
  }
  if (!isMapping(raw)) {
    const message = `a policy is a mapping, not ${kindOf(raw)}`
    return { code: 'policy_not_mapping', message, remedy: begin, path: [] }
  }
  return undefined
}

function parseDocument(source: YamlSource): PolicyFile {
  const raw = source.value as Readonly<Record<string, unknown>>
  const header = PolicyHeader.safeParse(raw)
  const rulesRaw: readonly unknown[] = Array.isArray(raw['rules']) ? raw['rules'] : []
  const problems: Problem[] = []
  if (!header.success) problems.push(...headerProblems(source, raw, header.error.issues))
  const values: PolicyValues = header.success ? header.data : UNREADABLE_POLICY
  const rules: Rule[] = []
  for (const [index, rule] of rulesRaw.entries()) {
    // What comes after so many is still counted by no one, so it isn't looked at.
    if (problems.length > MOST_PROBLEMS) break
    const parsed = parseRule(source, index, rule, values)
    problems.push(...parsed.problems)
    rules.push(...parsed.rules)
  }
  const whole = sourceOf(source, [])
  if (header.success) {
    const { open = [], invalid = [] } = header.data.sentinels ?? {}
    const faults = sentinelFaults({ open, invalid })
    problems.push(...faults.map((fault) => whole.problem(fault.path, fault)))
  }
  const policy = header.success
    ? { value: policyOf(header.data, source), source: whole }
    : undefined
  const holds = header.success ? holdsOf(header.data, source) : []
  const floors = header.success ? floorsOf(header.data, source) : []
  return { policy, rules, holds, floors, problems: problems.slice(0, MOST_PROBLEMS) }
}

function holdsOf({ holds = [] }: PolicyHeader, source: YamlSource): readonly HoldSource[] {
  return holds.map((hold, index) => ({
    table: hold.table,
    covers: hold.covers,
    while: hold.while ?? null,
    source: sourceOf(source, ['holds', index]),
  }))
}

function floorsOf({ floors = [] }: PolicyHeader, source: YamlSource): readonly Floor[] {
  return floors.map((floor, index) => ({
    table: floor.table,
    keepAtLeast: floor.keep_at_least ?? null,
    minimumAge: floor.minimum_age ?? null,
    source: sourceOf(source, ['floors', index]),
  }))
}

/** Stands for a header with problems: its rules are still read, for their own problems. */
const UNREADABLE_POLICY: PolicyValues = { policy: '', timezone: 'UTC' }

function policyOf(header: PolicyHeader, source: YamlSource): Policy {
  return {
    id: header.policy,
    title: header.title ?? header.policy,
    owner: header.owner,
    file: source.file,
    coverage: coverageOf(header, sourceOf(source, ['coverage'])),
    database: pinOf(header, source),
    backups: header.backups ?? null,
  }
}

function pinOf({ database }: PolicyHeader, source: YamlSource): Policy['database'] {
  if (database === undefined) return null
  const { name, system_identifier: systemIdentifier = null } = database
  return { name, systemIdentifier, source: sourceOf(source, ['database']) }
}

function headerProblems(
  source: YamlSource,
  raw: Readonly<Record<string, unknown>>,
  issues: Parameters<typeof faultsOf>[0],
): readonly Problem[] {
  return fewFaults(issues, raw).map((fault) => {
    const aboutRules = fault.path[0] === 'rules' && fault.path.length === 1
    if (!aboutRules || fault.code === 'unknown_key') return problemOf(source, fault)
    const message = 'a policy has a list of rules, each beginning with - id:'
    return problemOf(source, { ...fault, code: 'rules_missing', message, remedy: 'add rules:' })
  })
}

function parseRule(
  source: YamlSource,
  index: number,
  raw: unknown,
  policy: PolicyValues,
): { readonly rules: readonly Rule[]; readonly problems: readonly Problem[] } {
  const place = ['rules', index]
  const parsed = RuleDocument.safeParse(raw)
  if (parsed.success) return resolveRule(parsed.data, policy, sourceOf(source, place))
  const found = fewFaults(parsed.error.issues, raw)
  const faults = [...found, ...keepFaults(raw, found)]
  return {
    rules: [],
    problems: faults.map((fault) =>
      problemOf(source, { ...fault, path: [...place, ...fault.path] }),
    ),
  }
}

function sourceOf(source: YamlSource, place: readonly PathPart[]): RuleSource {
  return {
    file: source.file,
    problem: (path, problem) => problemOf(source, { ...problem, path: [...place, ...path] }),
  }
}

/** One issue may name thousands of keys, and each is looked up in the file. */
function fewFaults(issues: Parameters<typeof faultsOf>[0], raw: unknown): readonly Fault[] {
  return faultsOf(issues.slice(0, MOST_PROBLEMS), raw).slice(0, MOST_PROBLEMS)
}

function problemOf(source: YamlSource, fault: Fault): Problem {
  return problemAt(source, placeOf(source, fault.path, fault.on), fault.path, fault)
}
