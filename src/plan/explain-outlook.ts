/** What comes next for a record, and what would change its verdict: sentences beside the verdict. */
import { visible } from '../policy/visible.ts'
import type { ApprovalState } from './approval.ts'
import type { Verdict } from './census.ts'
import type { ExplainedRule, Explanation } from './explain.ts'

/** Sentences on one rule. */
export type Outlook = {
  readonly events: (rule: ExplainedRule) => string
  readonly change: Readonly<Record<Verdict, (rule: ExplainedRule) => string>>
  readonly nextRun: (instant: string) => string
  readonly noSchedule: string
  readonly approval: Readonly<Record<ApprovalState, string>>
  readonly refused: (message: string) => string
  readonly limitsUnknown: string
  readonly startsPeriods: (rule: string, records: number) => string
  readonly holdsRows: (table: string, rows: number) => string
  readonly anonymised: (rule: string, seq: number) => string
}

/** `3 rows of crm.invoice, 1 row of crm.note`. */
type Counting = (count: number, of: string) => string

const rowsEn: Counting = (count, of) => `${count} ${count === 1 ? 'row' : 'rows'} of ${of}`
const recordsEn: Counting = (count, of) =>
  `${count} ${count === 1 ? 'record' : 'records'} of the rule ${of}`
const rowsFr: Counting = (count, of) => `${count} ${count < 2 ? 'ligne' : 'lignes'} de ${of}`
const recordsFr: Counting = (count, of) =>
  `${count} ${count < 2 ? 'enregistrement' : 'enregistrements'} de la règle ${of}`

/** What a due row waits for because it decides or holds. */
function dependents(rule: ExplainedRule, records: Counting, rows: Counting): string {
  return [
    ...rule.decidesFor.map((each) => records(each.records, each.rule)),
    ...rule.stillHolds.map((each) => rows(each.rows, each.table)),
  ].join(', ')
}

export function blockersIn(rule: ExplainedRule, language: 'en' | 'fr'): string {
  const rows = language === 'fr' ? rowsFr : rowsEn
  return rule.blockedBy.map((each) => rows(each.rows, each.table)).join(', ')
}

export function dependentsIn(rule: ExplainedRule, language: 'en' | 'fr'): string {
  return language === 'fr'
    ? dependents(rule, recordsFr, rowsFr)
    : dependents(rule, recordsEn, rowsEn)
}

export const OUTLOOK_EN: Outlook = {
  events: ({ events }) =>
    `What decides: ${events
      .map(
        ({ column, rows, open, implausible }) =>
          `${rowsEn(rows, column)}${open > 0 ? `, ${open} still open` : ''}${implausible > 0 ? `, ${implausible} not plausible` : ''}`,
      )
      .join('; ')}.`,
  change: {
    due: () => 'Only a hold, a later start or another policy would keep it.',
    held: () =>
      'To change that: lift the hold, or end what holds it. Its period goes on meanwhile.',
    superseded: ({ supersededBy }) => `See ${supersededBy.join(', ')}.`,
    kept: ({ keptBy }) => `It waits for the end under ${keptBy.join(', ')}.`,
    blocked: (rule) =>
      rule.inCircle
        ? `IN A CIRCLE: it waits for other rows of ${rule.governs}, and those for it, so that none can go first. Write \`${rule.governs}: with_parent\`, and they go together; or end the circle in the data.`
        : rule.blockedBy.length === 0 && rule.keyTakenIn.length > 0
          ? 'It may go once the blocked row is gone from there, or one of the two has another key.'
          : 'It may go once those rows are gone.',
    deciding: (rule) =>
      rule.inCircle
        ? `IN A CIRCLE: it decides for other records of ${rule.governs}, and waits for them, so that none can go first. Read the start from another table, or end the circle in the data.`
        : 'It may go once those have been acted on.',
    done: () => 'It becomes due again if somebody fills a masked column in.',
    running: ({ events }) =>
      events.length === 0
        ? 'A later date in that column would move the end.'
        : 'A later date, or a related row that is open, would move the end.',
    open: () => 'The period starts when that has an end.',
    implausible: () => 'To change that: correct the date.',
    neverExpires: () =>
      'To change that: a related row that says it, or a column to fall back on (start.none.use).',
    outside: () => 'It would be reached if its columns matched the filter.',
  },
  nextRun: (instant) => `The next scheduled run that could act on it: ${instant}.`,
  noSchedule: 'The rule has no schedule: it acts when somebody runs enforce.',
  approval: {
    given: 'The rule is approved.',
    new: 'The rule waits for an approval: nobody has approved it.',
    changed: 'The rule waits for an approval: it was changed since it was approved.',
    shortened: 'The rule waits for an approval: its period is shorter than the one approved.',
    kept_less:
      'The rule waits for an approval: a rule that kept rows beside it is gone, changed or shorter.',
    tables_changed: 'The rule waits for an approval: its tables have changed.',
    revoked: 'The rule waits for an approval: the last one was revoked.',
    expired: 'The rule waits for an approval: the last one has ended.',
  },
  refused: (message) => `REFUSED: a run would leave the whole rule alone. ${visible(message)}`,
  limitsUnknown: 'Whether a limit refuses the rule was not asked: add --limits, or see plan.',
  startsPeriods: (rule, records) =>
    `It has a say in when the period of ${recordsEn(records, rule)} starts.`,
  holdsRows: (table, rows) => `It holds ${rowsEn(rows, table)}.`,
  anonymised: (rule, seq) => `It was anonymised under the rule ${rule}: journal entry ${seq}.`,
}

export const OUTLOOK_FR: Outlook = {
  events: ({ events }) =>
    `Ce qui décide : ${events
      .map(
        ({ column, rows, open, implausible }) =>
          `${rowsFr(rows, column)}${open > 0 ? `, dont ${open} sans fin` : ''}${implausible > 0 ? `, dont ${implausible} non plausible${implausible > 1 ? 's' : ''}` : ''}`,
      )
      .join(' ; ')}.`,
  change: {
    due: () => 'Seuls un gel, un début plus tardif ou une autre politique le conserveraient.',
    held: () =>
      'Pour changer cela : lever le gel, ou clore ce qui gèle. Le délai court entre-temps.',
    superseded: ({ supersededBy }) => `Voir ${supersededBy.join(', ')}.`,
    kept: ({ keptBy }) => `Il attend la fin du délai de ${keptBy.join(', ')}.`,
    blocked: (rule) =>
      rule.inCircle
        ? `EN CERCLE : il attend d'autres lignes de ${rule.governs}, qui l'attendent : aucune ne peut partir la première. Écrivez \`${rule.governs}: with_parent\`, et elles partent ensemble ; ou défaites le cercle dans les données.`
        : rule.blockedBy.length === 0 && rule.keyTakenIn.length > 0
          ? "Il pourra partir quand la ligne bloquée n'y sera plus, ou que l'une des deux aura une autre clé."
          : 'Il pourra partir quand ces lignes auront disparu.',
    deciding: (rule) =>
      rule.inCircle
        ? `EN CERCLE : il décide pour d'autres enregistrements de ${rule.governs}, qu'il attend : aucun ne peut partir le premier. Lisez le début dans une autre table, ou défaites le cercle dans les données.`
        : 'Il pourra partir quand ceux-ci auront été traités.',
    done: () => 'Il redeviendrait échu si une colonne masquée était de nouveau remplie.',
    running: ({ events }) =>
      events.length === 0
        ? 'Une date plus tardive dans cette colonne repousserait la fin.'
        : 'Une date plus tardive, ou une ligne liée sans fin, repousserait la fin.',
    open: () => 'Le délai commencera quand ceci aura une fin.',
    implausible: () => 'Pour changer cela : corriger la date.',
    neverExpires: () =>
      'Pour changer cela : une ligne liée qui le dise, ou une colonne de repli (start.none.use).',
    outside: () => 'La règle le concernerait si ses colonnes répondaient au filtre.',
  },
  nextRun: (instant) => `Prochaine exécution prévue qui pourrait agir : ${instant}.`,
  noSchedule: "La règle n'a pas d'horaire : elle agit quand quelqu'un lance enforce.",
  approval: {
    given: 'La règle est approuvée.',
    new: "La règle attend une approbation : personne ne l'a approuvée.",
    changed: 'La règle attend une approbation : elle a changé depuis la dernière.',
    shortened: 'La règle attend une approbation : son délai est plus court que celui approuvé.',
    kept_less:
      "La règle attend une approbation : une règle qui conservait des lignes à ses côtés n'est plus, a changé ou est plus courte.",
    tables_changed: 'La règle attend une approbation : ses tables ont changé.',
    revoked: 'La règle attend une approbation : la dernière a été révoquée.',
    expired: 'La règle attend une approbation : la dernière a pris fin.',
  },
  refused: (message) =>
    `REFUSÉE : une exécution laisserait toute la règle de côté. ${visible(message)}`,
  limitsUnknown:
    "Il n'a pas été demandé si une limite écarte la règle : ajoutez --limits, ou voyez plan.",
  startsPeriods: (rule, records) =>
    `Il compte pour le début du délai de ${recordsFr(records, rule)}.`,
  holdsRows: (table, rows) => `Il gèle ${rowsFr(rows, table)}.`,
  anonymised: (rule, seq) =>
    `Il a été anonymisé par la règle ${rule} : écriture ${seq} du journal.`,
}

/** Verdicts under which the next run says something. */
const MOVING: ReadonlySet<Verdict> = new Set(['due', 'running'])

/** The sentences that follow the verdict of a rule. */
export function outlookLines(
  rule: ExplainedRule,
  { limitsAsked }: Pick<Explanation, 'limitsAsked'>,
  say: Outlook,
): readonly string[] {
  const change = say.change[rule.verdict](rule)
  if (rule.mode === 'report' || !MOVING.has(rule.verdict)) return [change]
  const lines = [
    ...(rule.schedule === null ? [say.noSchedule] : []),
    ...(rule.nextRun === null ? [] : [say.nextRun(rule.nextRun)]),
    ...(rule.approval === null ? [] : [say.approval[rule.approval.state]]),
  ]
  if (rule.verdict !== 'due') return [change, ...lines]
  const limits = limitsAsked ? [] : [say.limitsUnknown]
  const refused = rule.refusal === null ? limits : [say.refused(rule.refusal.message)]
  return [...lines, ...refused, change]
}
