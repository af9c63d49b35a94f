/** An explanation in sentences, for a person who asked about one record. */
import { visible } from '../policy/visible.ts'
import type { Verdict } from './census.ts'
import type { ExplainedArchive } from './explain-archive.ts'
import type { ExplainedHold } from './explain-holds.ts'
import type { ExplainedRule, Explanation } from './explain.ts'
import {
  blockersIn,
  dependentsIn,
  OUTLOOK_EN,
  OUTLOOK_FR,
  outlookLines,
  type Outlook,
} from './explain-outlook.ts'
import { wrap } from './wrap.ts'

export type Language = 'en' | 'fr'

type Sentences = {
  readonly missing: readonly string[]
  readonly noRule: string
  readonly archived: (archived: ExplainedArchive) => readonly string[]
  readonly at: (instant: string) => string
  readonly governed: (rule: ExplainedRule) => string
  readonly start: (rule: ExplainedRule) => string
  readonly end: (rule: ExplainedRule) => string
  readonly inTime: (rule: ExplainedRule) => string
  readonly phase: (rule: ExplainedRule) => string
  readonly verdict: Readonly<Record<Verdict, (rule: ExplainedRule) => string>>
  readonly hold: (hold: ExplainedHold, onRow: boolean) => string
  readonly report: string
  readonly pseudonymised: (columns: string) => string
}

/** `2026-03-01 00:00:00 (Europe/Paris), 2026-02-28T23:00:00Z`. */
function instant({ mayGoFrom, mayGoFromLocal, zone }: ExplainedRule): string {
  return `${mayGoFromLocal ?? ''} (${zone}), ${mayGoFrom ?? ''}`
}

function dayOf({ since }: ExplainedHold): string {
  return since?.slice(0, 10) ?? ''
}

const DOES = { purge: 'purges', anonymise: 'anonymises', block: 'blocks' } as const

const FAIT = {
  purge: { it: 'le supprime', row: 'supprime' },
  anonymise: { it: "l'anonymise", row: 'anonymise' },
  block: { it: 'le bloque', row: 'bloque' },
} as const

const isOne = ({ blockedBy }: ExplainedRule): boolean =>
  blockedBy.reduce((sum, { rows }) => sum + rows, 0) === 1

const list = (names: readonly string[]): string => names.join(', ')

const EN: Sentences = {
  missing: [
    'There is no such row now.',
    'If a rule purged it, the journal has the rule, the day and the number of rows, and no key: see journal list. That it was this row is provable only if evidence of rows was kept.',
  ],
  noRule: 'No rule reaches this record: nothing will ever be done to it.',
  archived: ({ archive, rule, reopened }) => [
    `It is blocked: rule ${rule} has moved it to ${archive}, out of the application's reach.`,
    ...(reopened
      ? [
          `BLOCKED ALTHOUGH OPEN: its period is open or runs again, and nothing more is done to it. Move it back from ${archive} by hand, or end what is open.`,
        ]
      : []),
  ],
  at: (instant) => `As of ${instant}.`,
  governed: (rule) =>
    rule.along === null
      ? `The rule ${DOES[rule.action]} it ${rule.keep} after the period started.`
      : `${rule.along === 'purge' ? 'It goes along with' : 'It stays, and loses its link to'} a row of ${rule.governs}, which the rule ${DOES[rule.action]} ${rule.keep} after the period started.`,
  start: (rule) =>
    rule.startDay === null
      ? `The period starts at ${rule.startsAt}, which gives no day.`
      : `The period started on ${rule.startDay} (${rule.startsAt}, in ${rule.zone}).`,
  end: (rule) =>
    `The last day of the period is ${rule.retentionEnd ?? ''}; by time alone it may go from ${instant(rule)} on.`,
  inTime: (rule) =>
    (rule.inTimeUntil ?? '') < rule.today
      ? `OVERDUE: it should have been done by ${rule.inTimeUntil ?? ''}.`
      : `It is to be done by ${rule.inTimeUntil ?? ''}.`,
  phase: ({ phase }) =>
    phase === null
      ? ''
      : `Phase ${phase.number} of ${phase.of} of rule ${phase.rule}; of those whose time has come the latest acts.`,
  verdict: {
    due: () => 'VERDICT: due. The next run of the rule acts on it.',
    held: () => 'VERDICT: due, but spared: a hold covers it.',
    superseded: () => 'VERDICT: due, and left: another phase or rule acts on it instead.',
    kept: () => 'VERDICT: due, but spared: another rule that reaches it ends later.',
    blocked: (rule) => {
      const due = 'VERDICT: due, but spared:'
      if (rule.blockedBy.length > 0) {
        return `${due} ${blockersIn(rule, 'en')} still ${isOne(rule) ? 'refers' : 'refer'} to it.`
      }
      return rule.keyTakenIn.length > 0
        ? `${due} a row stands already in ${list(rule.keyTakenIn)} by its key, or by that of a row that goes along.`
        : `${due} it would have to go at once with rows that stay.`
    },
    deciding: (rule) =>
      `VERDICT: due, but spared: it still decides for ${dependentsIn(rule, 'en')}, not yet acted on.`,
    done: () => 'VERDICT: anonymised before; nothing is left to do.',
    running: (rule) =>
      `VERDICT: kept. Its period runs until ${rule.retentionEnd ?? 'an unknown day'}.`,
    open: (rule) => `VERDICT: kept. It is still open: ${rule.startsAt} has no end yet.`,
    implausible: (rule) =>
      `VERDICT: kept. A date in ${rule.startsAt} cannot be one; correct it, or it is never due.`,
    neverExpires: (rule) =>
      `VERDICT: kept. No related row in ${rule.startsAt} says when the period starts, so it never expires.`,
    outside: ({ leftOutBy }) =>
      `VERDICT: kept. The rule does not speak of this row: ${leftOutBy.join(' and ')} leaves it out.`,
  },
  hold: (hold, onRow) => {
    const place = onRow ? '' : ` (on a row of ${hold.on})`
    return hold.source === null
      ? `Held: ${scopeIn(EN_SCOPES, hold)}, hold ${hold.hold ?? ''} of case ${visible(hold.case ?? '')}${place}, since ${dayOf(hold)}${hold.until === null ? '' : `; to be looked at on ${hold.until}`}.`
      : `Held: by a row of ${hold.source}${place}.`
  },
  report: 'The rule only reports; it never acts.',
  pseudonymised: (columns) =>
    `${columns}: pseudonymised, not anonymised. Whoever has the key can find the person again.`,
}

const FR: Sentences = {
  missing: [
    "Cette ligne n'existe pas actuellement.",
    "Si une règle l'a supprimée, le journal en a la règle, le jour et le nombre de lignes, sans clé : voir journal list. Que ce fut cette ligne ne se prouve que si des preuves de lignes ont été gardées.",
  ],
  noRule: "Aucune règle n'atteint cet enregistrement : rien ne lui sera jamais fait.",
  archived: ({ archive, rule, reopened }) => [
    `Il est bloqué : la règle ${rule} l'a déplacé vers ${archive}, hors de portée de l'application.`,
    ...(reopened
      ? [
          `BLOQUÉ BIEN QU'OUVERT : son délai est ouvert ou court de nouveau, et plus rien ne lui est fait. Ramenez-le de ${archive} à la main, ou terminez ce qui est ouvert.`,
        ]
      : []),
  ],
  at: (instant) => `Au ${instant}.`,
  governed: (rule) =>
    rule.along === null
      ? `La règle ${FAIT[rule.action].it} ${duration(rule.keep)} après le début du délai.`
      : `${rule.along === 'purge' ? 'Il part avec' : 'Il reste, et perd son lien avec'} une ligne de ${rule.governs}, que la règle ${FAIT[rule.action].row} ${duration(rule.keep)} après le début du délai.`,
  start: (rule) =>
    rule.startDay === null
      ? `Le délai part de ${rule.startsAt}, qui ne donne aucun jour.`
      : `Le délai a commencé le ${rule.startDay} (${rule.startsAt}, fuseau ${rule.zone}).`,
  end: (rule) =>
    `Le dernier jour du délai est le ${rule.retentionEnd ?? ''} ; au seul regard du temps, il peut partir à compter du ${instant(rule)}.`,
  inTime: (rule) =>
    (rule.inTimeUntil ?? '') < rule.today
      ? `EN RETARD : aurait dû être traité au plus tard le ${rule.inTimeUntil ?? ''}.`
      : `À traiter au plus tard le ${rule.inTimeUntil ?? ''}.`,
  phase: ({ phase }) =>
    phase === null
      ? ''
      : `Phase ${phase.number} sur ${phase.of} de la règle ${phase.rule} ; de celles dont le temps est venu, la dernière agit.`,
  verdict: {
    due: () => 'VERDICT : échu. La prochaine exécution de la règle agit.',
    held: () => 'VERDICT : échu, mais épargné : un gel le couvre.',
    superseded: () => 'VERDICT : échu. Une autre phase ou règle agit à sa place.',
    kept: () => "VERDICT : échu, mais épargné : une autre règle qui l'atteint finit plus tard.",
    blocked: (rule) => {
      const due = 'VERDICT : échu, mais épargné :'
      if (rule.blockedBy.length > 0) {
        return `${due} ${blockersIn(rule, 'fr')} ${isOne(rule) ? "s'y réfère" : "s'y réfèrent"} encore.`
      }
      return rule.keyTakenIn.length > 0
        ? `${due} une ligne se trouve déjà dans ${list(rule.keyTakenIn)} sous sa clé, ou celle d'une ligne qui part avec.`
        : `${due} il devrait partir avec des lignes qui restent.`
    },
    deciding: (rule) =>
      `VERDICT : échu, mais épargné : il décide encore pour ${dependentsIn(rule, 'fr')}, pas encore traités.`,
    done: () => 'VERDICT : déjà anonymisé ; il ne reste rien à faire.',
    running: (rule) => `VERDICT : conservé. Le délai court jusqu'au ${rule.retentionEnd ?? '?'}.`,
    open: (rule) => `VERDICT : conservé. Encore ouvert : ${rule.startsAt} n'a pas de fin.`,
    implausible: (rule) =>
      `VERDICT : conservé. Une date de ${rule.startsAt} n'est pas plausible ; sans correction il n'échoit jamais.`,
    neverExpires: (rule) =>
      `VERDICT : conservé. Aucune ligne liée de ${rule.startsAt} ne dit quand le délai commence ; il n'échoit jamais.`,
    outside: ({ leftOutBy }) =>
      `VERDICT : conservé. La règle ne parle pas de cette ligne, écartée par ${leftOutBy.join(' et ')}.`,
  },
  hold: (hold, onRow) => {
    const place = onRow ? '' : ` (sur une ligne de ${hold.on})`
    return hold.source === null
      ? `Gelé : ${scopeIn(FR_SCOPES, hold)}, gel ${hold.hold ?? ''} du dossier ${visible(hold.case ?? '')}${place}, depuis le ${dayOf(hold)}${hold.until === null ? '' : ` ; à revoir le ${hold.until}`}.`
      : `Gelé : par une ligne de ${hold.source}${place}.`
  },
  report: "La règle ne fait que rapporter ; elle n'agit jamais.",
  pseudonymised: (columns) =>
    `${columns} : pseudonymisé, non anonymisé. Qui détient la clé peut retrouver la personne.`,
}

type Scopes = Readonly<Record<ExplainedHold['scope'], string>>

const EN_SCOPES: Scopes = { rule: 'by rule', subject: 'by subject', row: 'by key', source: '' }
const FR_SCOPES: Scopes = { rule: 'par règle', subject: 'par personne', row: 'par clé', source: '' }

function scopeIn(scopes: Scopes, { scope }: ExplainedHold): string {
  return scopes[scope]
}

const UNITS: Readonly<Record<string, string>> = {
  day: 'jour',
  days: 'jours',
  week: 'semaine',
  weeks: 'semaines',
  month: 'mois',
  months: 'mois',
  year: 'an',
  years: 'ans',
}

/** `10 years` in French. */
function duration(keep: string): string {
  const [count = '', unit = ''] = keep.split(' ')
  return `${count} ${UNITS[unit] ?? unit}`
}

/** Verdicts of which the dates say something: there is a period, and it has an end. */
const DATED: ReadonlySet<Verdict> = new Set([
  'due',
  'held',
  'superseded',
  'kept',
  'blocked',
  'deciding',
  'running',
])

/** Verdicts that `within` speaks of: what a hold or a longer period keeps is not late. */
const PRESSING: ReadonlySet<Verdict> = new Set(['due', 'blocked', 'deciding', 'running'])

/** Renders an explanation for a terminal, in the language of the reader. */
export function renderExplanation(explanation: Explanation, language: Language): string {
  const say = language === 'fr' ? FR : EN
  const outlook = outlookOf(say)
  const { table, key, at, found, rules, archived } = explanation
  const said = !found ? say.missing : rules.length === 0 ? [say.noRule] : []
  const paragraphs = [
    [
      `${table} ${key.map(quoted).join(' ')}`,
      say.at(at),
      ...(archived === null ? [] : say.archived(archived)),
      ...said,
      ...roleLines(explanation, outlook),
    ],
    ...rules.map((rule) => [
      ...ruleLines(explanation, rule, say),
      ...outlookLines(rule, explanation, outlook).map((line) => `  ${line}`),
    ]),
  ]
  return `${paragraphs.map((lines) => lines.flatMap(wrapped).join('\n')).join('\n\n')}\n`
}

/** As it would be typed again. */
function quoted(part: string): string {
  return /^[\w.:@+-]+$/.test(part) ? part : `'${part.replaceAll("'", String.raw`'\''`)}'`
}

function wrapped(line: string): readonly string[] {
  const indent = /^ */.exec(line)?.[0] ?? ''
  return wrap(line.trimStart(), indent)
}

function roleLines(
  { anonymised, startsPeriods, holdsRows }: Explanation,
  say: Outlook,
): readonly string[] {
  return [
    ...anonymised.map(({ rule, seq }) => say.anonymised(rule, seq)),
    ...startsPeriods.map(({ rule, records }) => say.startsPeriods(rule, records)),
    ...holdsRows.map(({ table, rows }) => say.holdsRows(table, rows)),
  ]
}

function ruleLines(
  explanation: Explanation,
  rule: ExplainedRule,
  say: Sentences,
): readonly string[] {
  const isDated = DATED.has(rule.verdict)
  const place = explanation.archived?.archive ?? explanation.table
  return [
    `${rule.rule}: ${rule.title}`,
    ...(rule.source === null ? [] : [rule.source]),
    ...(rule.phase === null ? [] : [say.phase(rule)]),
    say.governed(rule),
    ...(rule.pseudonymises.length > 0 ? [say.pseudonymised(list(rule.pseudonymises))] : []),
    ...(rule.events.some(({ rows }) => rows > 0) ? [outlookOf(say).events(rule)] : []),
    ...(isDated ? [say.start(rule)] : []),
    ...(isDated && rule.retentionEnd !== null ? [say.end(rule)] : []),
    ...(PRESSING.has(rule.verdict) && rule.inTimeUntil !== null ? [say.inTime(rule)] : []),
    ...rule.holds.map((hold) => say.hold(hold, hold.on === place)),
    say.verdict[rule.verdict](rule),
    ...(rule.mode === 'report' ? [say.report] : []),
  ].map((line, at) => (at === 0 ? line : `  ${line}`))
}

function outlookOf(say: Sentences): Outlook {
  return say === FR ? OUTLOOK_FR : OUTLOOK_EN
}
