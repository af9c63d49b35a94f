import { canonical, digestOf } from '../base/canonical.ts'
import type { Json } from '../base/canonical.ts'
import type { Coverage } from './coverage.ts'
import { PROGRAM_AFTER, type After } from './after.ts'
import { PROGRAM_PACE, type Pace } from './pace.ts'
import type {
  Action,
  Condition,
  DatabasePin,
  EventSource,
  Floor,
  HoldSource,
  Hop,
  LogicalLink,
  Policy,
  Rule,
  Start,
  StartColumn,
} from './policy.ts'
import type { SqlExpression } from './sql-expression.ts'
import { scalarJson, strategyJson } from './strategy.ts'

type UndigestedRule = Omit<Rule, 'digest' | 'source'>

/**
 * Digests the resolved values that decide what a rule destroys. Titles, owners, the register and the
 * place in a file are left out, and so are schedule, batch and within, which say only how a run goes
 * about it, and when it is late: none of them must void an approval. The format's name is part of what is hashed, so that a
 * later format can't meet the digest of an older one.
 */
export function ruleDigest(rule: UndigestedRule): string {
  return digestOf(ruleJson(rule))
}

/** The text whose SHA-256 is the digest of the rule. */
export function ruleText(rule: UndigestedRule): string {
  return canonical(ruleJson(rule))
}

function ruleJson(rule: UndigestedRule): Json {
  return {
    format: 'retentiond rule 2',
    ...basisJson(rule),
    ...guardsJson(rule),
    keep: { ...rule.keep },
  }
}

/** Digests everything of the rule but its period, limits and floors, which an approval compares itself. */
export function ruleBasis(rule: UndigestedRule): string {
  return digestOf({ format: 'retentiond rule basis 2', ...basisJson(rule) })
}

function guardsJson({ limits, floors }: UndigestedRule): Readonly<Record<string, Json>> {
  return {
    limits: {
      maxRows: scalarJson(limits.maxRows),
      maxPercent: scalarJson(limits.maxPercent),
      ...(limits.trip === 'both' && { trip: 'both' }),
    },
    ...(floors.length > 0 && { floors: asSet(floors.map(floorJson)) }),
  }
}

function basisJson(rule: UndigestedRule): Readonly<Record<string, Json>> {
  return {
    id: rule.id,
    // What is absent is left out, so that a rule which does not use a newer field keeps its digest.
    ...(rule.phase !== null && { phase: { ...rule.phase } }),
    ...(rule.archived !== null && { archived: { ...rule.archived.of } }),
    table: { ...rule.table },
    ...(rule.subject.length > 0 && { subject: asSet(rule.subject) }),
    zone: rule.zone,
    where: rule.where && conditionJson(rule.where),
    start: startJson(rule.start),
    mode: rule.mode,
    plausibleFrom: rule.plausibleFrom,
    sentinels: { open: asSet(rule.sentinels.open), invalid: asSet(rule.sentinels.invalid) },
    action: actionJson(rule.action),
    ...(rule.inheritance !== null && { inheritance: rule.inheritance }),
    ...(rule.triggers.length > 0 && {
      triggers: asSet(
        rule.triggers.map(({ table, name }): Json => ({ table: { ...table }, name })),
      ),
    }),
    ...(rule.partitions === 'drop' && { partitions: 'drop' }),
    // What a person approved to be provable must not stop being so unseen.
    ...(rule.evidence !== null && { evidence: rule.evidence }),
    references: asSet(rule.references.map((reference): Json => ({ ...reference }))),
    ...(rule.logical.length > 0 && { logical: asSet(rule.logical.map(logicalJson)) }),
    ...(rule.holds.length > 0 && { holds: asSet(rule.holds.map(holdJson)) }),
  }
}

function floorJson({ table, keepAtLeast, minimumAge }: Floor): Json {
  return { table: { ...table }, keepAtLeast, minimumAge: minimumAge && { ...minimumAge } }
}

function logicalJson({ table, to, by, where, as }: LogicalLink): Json {
  return {
    table: { ...table },
    to: { ...to },
    by: asSet(by.map((link): Json => ({ ...link }))),
    where: where && conditionJson(where),
    as,
  }
}

function holdJson(hold: HoldSource): Json {
  return {
    table: { ...hold.table },
    covers: asSet(
      hold.covers.map(({ table, links }): Json => {
        return { table: { ...table }, links: asSet(links.map((link): Json => ({ ...link }))) }
      }),
    ),
    while: hold.while && conditionJson(hold.while),
  }
}

/** Digests the whole set: the rules by their digests, how they run, and what the register says. */
export function setDigest(
  policies: readonly Policy[],
  rules: readonly Rule[],
  holds: readonly HoldSource[] = [],
): string {
  return digestOf({
    format: 'retentiond policy set 2',
    policies: asSet(
      policies.map(({ id, title, owner, coverage, database, backups }): Json => {
        return {
          id,
          title,
          owner,
          coverage: coverage && coverageJson(coverage),
          ...(database !== null && { database: pinJson(database) }),
          ...(backups !== null && { backups: { ...backups } }),
        }
      }),
    ),
    rules: asSet(
      rules.map((rule): Json => {
        const { id, policy, title, register, schedule, batchRows, walk, within, digest } = rule
        const running = {
          schedule: schedule && { ...schedule },
          batchRows,
          ...(walk !== null && { walk }),
          ...(within !== null && { within: { ...within } }),
          ...paceJson(rule.pace),
          ...afterJson(rule.after),
        }
        return { id, policy, title, register: register && { ...register }, ...running, digest }
      }),
    ),
    ...(holds.length > 0 && { holds: asSet(holds.map(holdJson)) }),
  })
}

function pinJson({ name, systemIdentifier }: DatabasePin): Json {
  return { name, systemIdentifier }
}

/** What is at the program's pace has none of its own, so that an older set keeps its digest. */
function paceJson(pace: Pace): Readonly<Record<string, Json>> {
  const values = ({ window, pauseWhen, ...rest }: Pace): Json => {
    return { ...rest, window: window && { ...window }, pauseWhen: { ...pauseWhen } }
  }
  return canonical(values(pace)) === canonical(values(PROGRAM_PACE)) ? {} : { pace: values(pace) }
}

/** Likewise: what follows a run as the program has it is not in it. */
function afterJson(after: After): Readonly<Record<string, Json>> {
  return canonical({ ...after }) === canonical({ ...PROGRAM_AFTER }) ? {} : { after: { ...after } }
}

/** What has to have a rule: an exemption that is added must show in what a person approves. */
function coverageJson({ schemas, exempt, zone }: Coverage): Json {
  return {
    schemas: asSet(schemas),
    exempt: asSet(
      exempt.map(({ table, column, why, review }): Json => {
        return { table: { ...table }, column, why, review }
      }),
    ),
    zone,
  }
}

/** The canonical form of a filter: what must hold together has no order, nor do alternatives. */
export function conditionJson(condition: Condition): Json {
  switch (condition.kind) {
    case 'all':
    case 'any':
      return { kind: condition.kind, conditions: asSet(condition.conditions.map(conditionJson)) }
    case 'not':
      return { kind: 'not', condition: conditionJson(condition.condition) }
    case 'one_of':
      return { ...condition, values: asSet(condition.values.map(scalarJson)) }
    case 'equals':
    case 'compares':
      return { ...condition, value: scalarJson(condition.value) }
    case 'is_null':
    case 'soft_deleted':
      return condition
    case 'sql':
      // Not the text: blanks and parentheses decide nothing.
      return { kind: 'sql', expression: expressionJson(condition.expression) }
    default:
      return condition satisfies never
  }
}

/** The order of what must hold together decides nothing, nor does that of alternatives. */
function expressionJson(expression: SqlExpression): Json {
  switch (expression.kind) {
    case 'and':
    case 'or':
      return { kind: expression.kind, parts: asSet(expression.parts.map(expressionJson)) }
    case 'operator': {
      const { kind, operator, left, right } = expression
      return { kind, operator, left: expressionJson(left), right: expressionJson(right) }
    }
    case 'call':
      return { ...expression, given: expression.given.map(expressionJson) }
    case 'minus':
    case 'cast':
    case 'not':
    case 'is':
      return { ...expression, of: expressionJson(expression.of) }
    case 'column':
    case 'constant':
      return expression
    default:
      return expression satisfies never
  }
}

/** What a start does not use is not in it, so that a new key of the language changes no old digest. */
export function startJson(start: Start): Json {
  if (start.kind === 'column') return { kind: 'column', ...columnJson(start) }
  const none = typeof start.none === 'string' ? start.none : { use: fallbackJson(start.none.use) }
  const sources = start.sources.map(sourceJson)
  const [only] = sources
  if (start.nulls === 'open' && start.own.length === 0 && sources.length === 1) {
    return { kind: 'event', ...only, none }
  }
  const own = asSet(start.own.map((column): Json => columnJson(column)))
  return { kind: 'event', sources: asSet(sources), own, nulls: start.nulls, none }
}

function sourceJson(source: EventSource) {
  const { table, hops, via, by, open } = source
  return {
    source: { ...table },
    ...columnJson(source),
    ...(hops.length === 0 ? {} : { hops: hops.map(hopJson) }),
    via: via && { ...via },
    by: asSet(by.map((link): Json => ({ ...link }))),
    open: open && conditionJson(open),
  }
}

function hopJson({ table, links }: Hop): Json {
  return { table: { ...table }, links: asSet(links.map((link): Json => ({ ...link }))) }
}

function columnJson({ column, zone, unit, format }: StartColumn) {
  return { column, zone, ...(unit !== null && { unit }), ...(format !== null && { format }) }
}

function fallbackJson(use: StartColumn): Json {
  const { column, zone, unit, format } = use
  return zone === null && unit === null && format === null ? column : columnJson(use)
}

function actionJson(action: Action): Json {
  if (action.kind === 'purge') return action
  if (action.kind === 'block') {
    const along = action.along.map(({ table, archive }): Json => {
      return { table: { ...table }, archive: { ...archive } }
    })
    return { kind: 'block', archive: { ...action.archive }, along: asSet(along) }
  }
  const masks = action.masks.map(({ column, strategy }): Json => ({
    column,
    strategy: strategyJson(strategy),
  }))
  return { kind: 'anonymise', masks: asSet(masks) }
}

/** Sorts by canonical form and drops repetitions. */
function asSet(items: readonly Json[]): readonly Json[] {
  const byForm = new Map(items.map((item) => [canonical(item), item]))
  return [...byForm.keys()].toSorted().flatMap((form) => byForm.get(form) ?? [])
}
