/** The sentences of a certificate, in English and in French. */
import type { Action, TableRows } from './entry.ts'
import type { Verdict } from './verify.ts'

export type CertificateLanguage = 'en' | 'fr'

export type CertificateText = {
  readonly title: (actions: ReadonlySet<Action>) => string
  readonly number: string
  readonly controller: string
  readonly system: string
  readonly notStated: string
  readonly database: string
  readonly journal: string
  readonly issued: string
  readonly covers: string
  readonly run: (run: string) => string
  readonly days: (from: string, to: string) => string
  readonly record: (target: string) => string
  readonly key: string
  readonly verdict: Readonly<
    Record<Exclude<Verdict, 'tampered'> | 'proved', readonly [short: string, long: string]>
  >
  readonly what: string
  readonly columns: readonly [string, string, string, string, string]
  readonly total: string
  readonly nothing: string
  readonly action: Readonly<Record<TableRows['action'], string>>
  readonly why: string
  readonly ruleSays: (period: string, day: string) => string
  readonly unit: (count: number, unit: string) => string
  readonly masks: string
  readonly whyAlways: string
  readonly runs: string
  readonly runColumns: readonly [string, string, string, string]
  readonly trigger: Readonly<Record<string, string>>
  readonly noEnd: string
  readonly outcome: Readonly<Record<string, string>>
  readonly method: string
  readonly methods: Readonly<Record<Action, string>>
  readonly residuals: (until: string | null) => string
  readonly sanitisation: string
  readonly verified: string
  readonly facts: {
    readonly signedBy: string
    readonly program: string
    readonly head: string
    readonly outside: string
    readonly none: string
    readonly seen: string
    readonly rows: string
    readonly before: string
    readonly after: string
    readonly bound: (entries: number) => string
    readonly cosigned: (name: string) => string
  }
  readonly evidence: Readonly<Record<'rows' | 'count' | 'both', string>>
  readonly limits: string
  readonly limitList: readonly string[]
  readonly restored: (on: string) => string
  readonly restoreUnseen: string
  readonly signatures: string
  readonly sign: readonly [string, string]
  readonly signFields: string
  readonly check: string
  readonly checkHow: (proof: boolean) => string
  readonly annexProof: string
  readonly annexProofNote: string
  readonly noCheckpoint: string
  readonly annexRules: string
  readonly entry: (seq: number) => string
}

const EN_ACTIONS: Readonly<Record<Action, string>> = {
  purge: 'deletion',
  anonymise: 'anonymisation',
  block: 'blocking',
}

const EN: CertificateText = {
  title: (actions) =>
    `Certificate of ${[...actions].map((each) => EN_ACTIONS[each]).join(' and ') || 'retention'}`,
  number: 'Certificate number',
  controller: 'Controller',
  system: 'System',
  notStated: 'not stated',
  database: 'PostgreSQL cluster',
  journal: 'Journal',
  issued: 'Issued (UTC)',
  covers: 'Covers',
  run: (run) => `run ${run}`,
  days: (from, to) => (from === to ? `the day ${from} (UTC)` : `${from} to ${to} (UTC)`),
  record: (target) => `one record of ${target}`,
  key: 'Key of the record',
  verdict: {
    verified: [
      'Verified',
      'The journal is whole and unchanged up to a head that was kept outside the database.',
    ],
    proved: [
      'Proved',
      'The journal has this record among those it acted on, under a checkpoint that a trusted key signed.',
    ],
    stale: [
      'Verified, not up to date',
      'No fault was found, but the newest head kept outside the database is older than was asked for.',
    ],
    unanchored: [
      'Not anchored',
      'No fault was found, but nothing kept outside the database was compared: whoever administers it could have cut off the end of the journal. This certificate rests on the operator alone.',
    ],
  },
  what: 'What was done',
  columns: ['Table', 'Action', 'Rows', 'First (UTC)', 'Last (UTC)'],
  total: 'Rows in all',
  nothing: 'Nothing was deleted, anonymised or blocked.',
  action: {
    purge: 'deleted',
    anonymise: 'anonymised',
    block: 'moved out of reach',
    detach: 'kept, link removed',
  },
  why: 'Why then',
  ruleSays: (period, day) =>
    `kept for ${period}; records whose period starts on ${day} or later were kept`,
  unit: (count, unit) => `${count} ${unit}${count === 1 ? '' : 's'}`,
  masks: 'overwritten columns:',
  whyAlways:
    'Days are counted whole in the time zone of the rule; a record is due on the day after its period has ended. In the transaction that acted, each record was decided again under locks: due, under no hold, still matching its rule. Records under a hold were left.',
  runs: 'Runs',
  runColumns: ['Started (UTC)', 'Ended (UTC)', 'Because of', 'Ended as'],
  trigger: { schedule: 'the schedule', manual: 'a person', request: 'a request' },
  noEnd: 'no end recorded',
  outcome: {
    done: 'done',
    partial: 'partly done: some records were locked',
    refused: 'a rule was refused',
    stopped: 'stopped',
    clock: 'ended by the clock',
    catalog: 'ended by a changed table',
    lease: 'ended by another instance',
    failed: 'failed',
    interrupted: 'interrupted',
  },
  method: 'Method, and what remains',
  methods: {
    purge:
      'Deleted: logical deletion by SQL DELETE, or by DROP of a partition that held nothing else, committed together with its journal entry.',
    anonymise:
      'Anonymised: the columns named above were overwritten by SQL UPDATE and read again in the same transaction. Whether what is left still points to a person is for the controller to judge.',
    block:
      'Moved out of reach: rows moved to an archive table that the application cannot read. They exist.',
  },
  residuals: (until) =>
    until === null
      ? 'Copies remain in the space that the database has not yet re-used, in its write-ahead log, on replicas and in backups until these are thrown away. The operator did not state when.'
      : `Copies remain in the space that the database has not yet re-used, in its write-ahead log, on replicas and in backups. The operator states that backups are thrown away in time for none to remain after ${until}.`,
  sanitisation:
    'This is no sanitisation of media in the sense of NIST SP 800-88; as long as copies remain it is at best comparable to “Clear”.',
  verified: 'How it was recorded and verified',
  facts: {
    signedBy: 'Entries signed by key',
    program: 'Program that began the journal',
    head: 'Journal at issue',
    outside: 'Heads kept outside',
    none: 'none compared',
    seen: 'the newest seen',
    rows: 'Proof of single rows',
    before: 'Journalled after checkpoint',
    after: 'Journalled before checkpoint',
    bound: (entries) => `of ${entries} entries`,
    cosigned: (name) => `; seen by ${name}`,
  },
  evidence: {
    rows: 'kept for every row',
    count: 'not kept: only the number is recorded',
    both: 'kept for some batches, only the number for others',
  },
  limits: 'What this certificate does not say',
  limitList: [
    'It does not say that no copy exists elsewhere: exports, other systems, what a trigger or a person copied.',
    'It speaks of the tables named here and of no other.',
    'It states what the program did and was told. Whether the rule is right is not its subject.',
    'Times are those of the database server, but for those at which a witness has seen something.',
  ],
  restored: (on) =>
    `A backup from before some of this was restored; the journal says so on ${on}. Rows named here were there again until a later run, which has entries of its own.`,
  restoreUnseen:
    'It does not see whether a backup from before the deletion was restored since; the journal does.',
  signatures: 'Signatures',
  sign: ['For the controller', 'Checked by'],
  signFields: 'Name, place, date, signature',
  check: 'How to check it',
  checkHow: (proof) =>
    proof
      ? 'The data of this page is inside it as JSON (element “certificate”). With the proof file and the keys you trust, and no network:'
      : 'The data of this page is inside it as JSON (element “certificate”). With an export of the journal, the keys you trust and a checkpoint kept elsewhere, and no network:',
  annexProof: 'Annex A: what was signed',
  annexProofNote:
    'The checkpoint that covers it, and the entries that state it. Each entry is in the Merkle tree (RFC 6962) whose root the checkpoint signs; the hashes that lead there are in the JSON.',
  noCheckpoint: 'No checkpoint was signed since.',
  annexRules: 'Annex B: the rules in full',
  entry: (seq) => `Entry ${seq}`,
}

const FR_ACTIONS: Readonly<Record<Action, string>> = {
  purge: 'de suppression',
  anonymise: 'd’anonymisation',
  block: 'de blocage',
}

const FR_UNITS: Readonly<Record<string, readonly [one: string, more: string]>> = {
  day: ['jour', 'jours'],
  week: ['semaine', 'semaines'],
  month: ['mois', 'mois'],
  year: ['an', 'ans'],
}

const FR: CertificateText = {
  title: (actions) =>
    `Certificat ${[...actions].map((each) => FR_ACTIONS[each]).join(' et ') || 'de conservation'}`,
  number: 'Numéro du certificat',
  controller: 'Responsable du traitement',
  system: 'Système',
  notStated: 'non indiqué',
  database: 'Instance PostgreSQL',
  journal: 'Journal',
  issued: 'Établi le (UTC)',
  covers: 'Porte sur',
  run: (run) => `l’exécution ${run}`,
  days: (from, to) =>
    from === to ? `la journée du ${from} (UTC)` : `la période du ${from} au ${to} (UTC)`,
  record: (target) => `un enregistrement de ${target}`,
  key: 'Clé de l’enregistrement',
  verdict: {
    verified: [
      'Vérifié',
      'Le journal est entier et inchangé jusqu’à une tête conservée hors de la base de données.',
    ],
    proved: [
      'Prouvé',
      'Le journal compte cet enregistrement parmi ceux qu’il a traités, sous un point de contrôle signé par une clé de confiance.',
    ],
    stale: [
      'Vérifié, mais pas à jour',
      'Aucun défaut n’a été trouvé, mais la tête la plus récente conservée hors de la base est plus ancienne que demandé.',
    ],
    unanchored: [
      'Sans ancrage',
      'Aucun défaut n’a été trouvé, mais rien de conservé hors de la base n’a été comparé : qui l’administre aurait pu couper la fin du journal. Ce certificat ne repose que sur l’exploitant.',
    ],
  },
  what: 'Ce qui a été fait',
  columns: ['Table', 'Action', 'Lignes', 'Première (UTC)', 'Dernière (UTC)'],
  total: 'Lignes au total',
  nothing: 'Rien n’a été supprimé, anonymisé ni bloqué.',
  action: {
    purge: 'supprimées',
    anonymise: 'anonymisées',
    block: 'mises hors de portée',
    detach: 'gardées, lien retiré',
  },
  why: 'Pourquoi à ce moment',
  ruleSays: (period, day) =>
    `délai de ${period} ; les enregistrements dont le délai commence le ${day} ou plus tard ont été conservés`,
  unit: (count, unit) => `${count} ${FR_UNITS[unit]?.[count === 1 ? 0 : 1] ?? unit}`,
  masks: 'colonnes écrasées :',
  whyAlways:
    'Les jours sont comptés entiers dans le fuseau de la règle ; un enregistrement est échu le lendemain de la fin de son délai. Dans la transaction qui a agi, chaque enregistrement a été jugé de nouveau sous verrou : échu, sans gel, toujours visé par sa règle. Ceux qu’un gel couvre ont été laissés.',
  runs: 'Exécutions',
  runColumns: ['Début (UTC)', 'Fin (UTC)', 'En raison de', 'Terminée'],
  trigger: { schedule: 'la planification', manual: 'une personne', request: 'une demande' },
  noEnd: 'aucune fin inscrite',
  outcome: {
    done: 'entièrement',
    partial: 'en partie : des enregistrements étaient verrouillés',
    refused: 'une règle a été refusée',
    stopped: 'par un arrêt demandé',
    clock: 'à cause de l’horloge',
    catalog: 'à cause d’une table modifiée',
    lease: 'par une autre instance',
    failed: 'en échec',
    interrupted: 'interrompue',
  },
  method: 'Procédé, et ce qui subsiste',
  methods: {
    purge:
      'Supprimées : suppression logique par SQL DELETE, ou par DROP d’une partition qui ne contenait rien d’autre, validée avec son écriture au journal.',
    anonymise:
      'Anonymisées : les colonnes nommées ci-dessus ont été écrasées par SQL UPDATE puis relues dans la même transaction. Il appartient au responsable du traitement de juger si ce qui reste désigne encore une personne.',
    block:
      'Mises hors de portée : lignes déplacées dans une table d’archive que l’application ne peut pas lire. Elles existent.',
  },
  residuals: (until) =>
    until === null
      ? 'Des copies subsistent dans l’espace que la base n’a pas encore réutilisé, dans son journal de transactions, sur les réplicas et dans les sauvegardes jusqu’à leur destruction. L’exploitant n’en a pas indiqué la date.'
      : `Des copies subsistent dans l’espace que la base n’a pas encore réutilisé, dans son journal de transactions, sur les réplicas et dans les sauvegardes. L’exploitant déclare que les sauvegardes sont détruites à temps pour qu’il n’en reste aucune après le ${until}.`,
  sanitisation:
    'Ce n’est pas un effacement de supports au sens de NIST SP 800-88 ; tant que des copies subsistent, c’est tout au plus comparable à « Clear ».',
  verified: 'Inscription et vérification',
  facts: {
    signedBy: 'Écritures signées par la clé',
    program: 'Programme qui a ouvert le journal',
    head: 'Journal à la date du certificat',
    outside: 'Têtes conservées ailleurs',
    none: 'aucune comparée',
    seen: 'la plus récente vue le',
    rows: 'Preuve ligne par ligne',
    before: 'Inscrit après le point de contrôle',
    after: 'Inscrit avant le point de contrôle',
    bound: (entries) => `de ${entries} écritures`,
    cosigned: (name) => `\u00a0; vu par ${name} le`,
  },
  evidence: {
    rows: 'conservée pour chaque ligne',
    count: 'non conservée : seul le nombre est inscrit',
    both: 'conservée pour certains lots, le nombre seul pour d’autres',
  },
  limits: 'Ce que ce certificat ne dit pas',
  limitList: [
    'Il ne dit pas qu’aucune copie n’existe ailleurs : exports, autres systèmes, copies faites par un déclencheur ou une personne.',
    'Il parle des tables nommées ici et d’aucune autre.',
    'Il constate ce que le programme a fait et reçu comme consigne. La justesse de la règle n’est pas son objet.',
    'Les heures sont celles du serveur de base de données, sauf celles auxquelles un témoin a vu quelque chose.',
  ],
  restored: (on) =>
    `Une sauvegarde antérieure à une partie de ceci a été restaurée ; le journal le dit le ${on}. Des lignes nommées ici étaient de nouveau présentes jusqu’à une exécution ultérieure, qui a ses propres écritures.`,
  restoreUnseen:
    'Il ne voit pas si une sauvegarde antérieure à la suppression a été restaurée depuis ; le journal, si.',
  signatures: 'Signatures',
  sign: ['Pour le responsable du traitement', 'Contrôlé par'],
  signFields: 'Nom, lieu, date, signature',
  check: 'Comment le vérifier',
  checkHow: (proof) =>
    proof
      ? 'Les données de cette page y figurent en JSON (élément « certificate »). Avec le fichier de preuve et les clés auxquelles vous faites confiance, sans réseau :'
      : 'Les données de cette page y figurent en JSON (élément « certificate »). Avec un export du journal, les clés auxquelles vous faites confiance et un point de contrôle conservé ailleurs, sans réseau :',
  annexProof: 'Annexe A : ce qui a été signé',
  annexProofNote:
    'Le point de contrôle qui le couvre, et les écritures qui le constatent. Chaque écriture est dans l’arbre de Merkle (RFC 6962) dont le point de contrôle signe la racine ; les empreintes qui y mènent sont dans le JSON.',
  noCheckpoint: 'Aucun point de contrôle n’a été signé depuis.',
  annexRules: 'Annexe B : le texte des règles',
  entry: (seq) => `Écriture ${seq}`,
}

export const CERTIFICATE_TEXT: Readonly<Record<CertificateLanguage, CertificateText>> = {
  en: EN,
  fr: FR,
}
