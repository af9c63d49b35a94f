/**
 * The closed schema of an entry's JSON, in the order of its keys, and the way between it and the
 * words of entry.ts. A key that is not here is an error; nothing here is free text.
 */
import type { Entry, Position } from './entry.ts'
import { chosen, closed, list, one, optional, some, text, upTo, whole, type Of } from './shape.ts'

const count = whole(0)
const name = upTo(255)
const digest = text(/^[0-9a-f]{64}$/)
const uuid = text(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
const day = text(/^\d{4}-\d\d-\d\d$/)
/** A rule's id, or a product and its version: what programs and authors name things with. */
const word = text(/^[\x20-\x7e]{1,255}$/)
const origin = text(/^[^\s+]{1,255}$/)
const vkey = text(/^[^\s+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+={0,2}$/)
/** 32 bytes in base64; the last character before the padding carries four bits only. */
const hash = text(/^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/)
/** Names an evidence key: `ek-2026`. */
const keyId = text(/^[a-z0-9][a-z0-9.-]{0,62}$/)
const action = one('purge', 'anonymise', 'block')
const trigger = one('schedule', 'manual', 'request')

const instant = (fraction: string) =>
  text(new RegExp(`^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d${fraction}Z$`))

const place = {
  sysid: text(/^\d{1,20}$/),
  tli: text(/^[0-9A-F]{8}$/),
  lsn: text(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/),
}

const position = {
  seq: count,
  prev: hash,
  time: instant('\\.\\d{6}'),
  clock: instant('\\.\\d{3}'),
  db: closed({ ...place, xid: text(/^\d{1,20}$/) }),
}

const begin = <T extends string>(type: T) => ({
  v: one(1),
  type: one(type),
  ...position,
})

const tableRows = closed({
  target: name,
  action: one('purge', 'anonymise', 'block', 'detach'),
  rows: count,
})

const genesis = closed({
  ...begin('genesis'),
  origin,
  log: text(/^[0-9a-f]{8}$/),
  product: word,
  entry_key: vkey,
  /** Only of a journal that takes the place of another. */
  previous: optional(
    closed({
      origin,
      size: count,
      root: hash,
      why: one('key-lost', 'key-stolen', 'restored', 'other'),
    }),
  ),
})

const policy = closed({
  ...begin('policy'),
  rule: word,
  sha256: digest,
  policy_set: digest,
  target: name,
  period: closed({
    count: whole(1),
    unit: one('day', 'week', 'month', 'year'),
  }),
  action,
  masks: list(text(/^[^]+:[a-z_]+$/)),
  /** Only of a block. */
  archives: optional(some(closed({ target: name, archive: name }))),
})

const approval = closed({
  ...begin('approval'),
  phase: one('given', 'revoked'),
  rule: word,
  approval: digest,
})

const runStart = closed({
  ...begin('run'),
  phase: one('start'),
  run: uuid,
  trigger,
  plan: digest,
  policy_set: digest,
  cutoff: instant('(\\.\\d{1,6})?'),
  /** Only if it is true. */
  clock_accepted: optional(one(true)),
})

const runEnd = closed({
  ...begin('run'),
  phase: one('end'),
  run: uuid,
  outcome: one(
    'done',
    'partial',
    'refused',
    'stopped',
    'clock',
    'catalog',
    'lease',
    'failed',
    'interrupted',
  ),
  totals: list(tableRows),
})

const batch = closed({
  ...begin('batch'),
  run: uuid,
  batch: uuid,
  policy: closed({ rule: word, sha256: digest, seq: count }),
  target: name,
  action,
  method: one('sql-delete', 'sql-update', 'sql-move', 'sql-drop'),
  reason: trigger,
  day,
  first_day_not_due: day,
  children: list(
    closed({
      target: name,
      action: one('purge', 'anonymise', 'block', 'detach'),
      rows: count,
      root: optional(hash),
    }),
  ),
  rows: whole(1),
  evidence: chosen('alg', {
    count: closed({ alg: one('count') }),
    pj1: closed({ alg: one('pj1'), key: keyId, root: hash }),
  }),
})

const hold = closed({
  ...begin('hold'),
  phase: one('placed', 'lifted'),
  hold: whole(1),
  case_sha256: digest,
  scope: one('rule', 'subject', 'row'),
  /** Only if the scope is not a subject. */
  target: optional(name),
})

const signingKeys = closed({ ...begin('keys'), use: one('entry', 'checkpoint'), key: vkey })
const evidenceKeys = closed({ ...begin('keys'), use: one('evidence'), key: keyId, check: hash })

const evidencePruned = closed({
  ...begin('evidence-pruned'),
  from: count,
  to: count,
  batches: whole(1),
})

const archived = closed({
  ...begin('archived'),
  from: count,
  to: count,
  entries: whole(1),
  size: whole(2),
  root: hash,
})

const evidenceKeyDestroyed = closed({ ...begin('evidence-key-destroyed'), key: keyId })

const recovered = closed({
  ...begin('recovered'),
  why: one('archive', 'cluster', 'trusted'),
  size: count,
  entries: count,
  was: closed(place),
})

const heartbeat = closed(begin('heartbeat'))

/** Everything an entry may be. Parsing gives the keys in the order of this file. */
export const wireEntry = chosen('type', {
  genesis,
  policy,
  approval,
  run: chosen('phase', { start: runStart, end: runEnd }),
  batch,
  hold,
  keys: chosen('use', { entry: signingKeys, checkpoint: signingKeys, evidence: evidenceKeys }),
  heartbeat,
  'evidence-pruned': evidencePruned,
  archived,
  'evidence-key-destroyed': evidenceKeyDestroyed,
  recovered,
})

export type WireEntry = Of<typeof wireEntry>

/** Spells an entry as its JSON has it. */
export function toWire(entry: Entry): WireEntry {
  const placed = { seq: entry.seq, prev: entry.prev.toString('base64'), ...timesOf(entry) }
  const { type } = entry
  switch (type) {
    case 'genesis': {
      const { origin, log, product, entryKey, previous } = entry
      const before =
        previous === undefined
          ? {}
          : { previous: { ...previous, root: previous.root.toString('base64') } }
      return { v: 1, type, ...placed, origin, log, product, entry_key: entryKey, ...before }
    }
    case 'policy': {
      const { rule, sha256, set, target, count, unit, action, masks, archives } = entry
      const period = { count, unit }
      const bound = { rule, sha256, policy_set: set }
      const moved = archives.length === 0 ? {} : { archives: [...archives] }
      return {
        v: 1,
        type,
        ...placed,
        ...bound,
        target,
        period,
        action,
        masks: [...masks],
        ...moved,
      }
    }
    case 'approval': {
      const { phase, rule, approval } = entry
      return { v: 1, type, ...placed, phase, rule, approval }
    }
    case 'run':
      return runToWire(entry, placed)
    case 'batch': {
      const { type: _, firstDayNotDue, children, evidence, ...rest } = entry
      return {
        ...rest,
        ...placed,
        v: 1,
        type,
        first_day_not_due: firstDayNotDue,
        children: children.map(({ root, ...child }) => {
          return { ...child, ...(root !== undefined && { root: root.toString('base64') }) }
        }),
        evidence:
          evidence.alg === 'count'
            ? evidence
            : { ...evidence, root: evidence.root.toString('base64') },
      }
    }
    case 'hold': {
      const { phase, hold: id, caseDigest, scope, target } = entry
      const about = target === null ? {} : { target }
      return { v: 1, type, ...placed, phase, hold: id, case_sha256: caseDigest, scope, ...about }
    }
    case 'keys':
      return entry.use === 'evidence'
        ? { v: 1, type, ...placed, use: entry.use, key: entry.key, check: entry.check }
        : { v: 1, type, ...placed, use: entry.use, key: entry.key }
    case 'heartbeat':
      return { v: 1, type, ...placed }
    case 'evidence-pruned':
      return { v: 1, type, ...placed, from: entry.from, to: entry.to, batches: entry.batches }
    case 'archived': {
      const { from, to, entries, size } = entry
      return { v: 1, type, ...placed, from, to, entries, size, root: entry.root.toString('base64') }
    }
    case 'evidence-key-destroyed':
      return { v: 1, type, ...placed, key: entry.key }
    case 'recovered': {
      const { why, size, entries, was } = entry
      return { v: 1, type, ...placed, why, size, entries, was }
    }
    default:
      return type satisfies never
  }
}

type Placed = Pick<WireEntry, 'seq' | 'prev' | 'time' | 'clock' | 'db'>

function runToWire(entry: Extract<Entry, { type: 'run' }>, placed: Placed): WireEntry {
  const { type, run } = entry
  if (entry.phase === 'end') {
    const { phase, outcome, totals } = entry
    return { v: 1, type, ...placed, phase, run, outcome, totals: [...totals] }
  }
  const { phase, trigger, plan, policySet, cutoff, clockAccepted } = entry
  return {
    v: 1,
    type,
    ...placed,
    phase,
    run,
    trigger,
    plan,
    policy_set: policySet,
    cutoff,
    ...(clockAccepted ? { clock_accepted: true } : {}),
  }
}

/** The entry that a piece of checked JSON stands for. */
export function fromWire(wire: WireEntry): Entry {
  const placed: Position = {
    seq: wire.seq,
    prev: Buffer.from(wire.prev, 'base64'),
    ...timesOf(wire),
  }
  switch (wire.type) {
    case 'genesis': {
      const { type, origin, log, product, entry_key: entryKey, previous } = wire
      const before =
        previous === undefined
          ? {}
          : { previous: { ...previous, root: Buffer.from(previous.root, 'base64') } }
      return { ...placed, type, origin, log, product, entryKey, ...before }
    }
    case 'policy': {
      const { type, rule, sha256, policy_set: set, target, period, action, masks } = wire
      const archives = wire.archives ?? []
      return { ...placed, type, rule, sha256, set, target, ...period, action, masks, archives }
    }
    case 'approval': {
      const { type, phase, rule, approval } = wire
      return { ...placed, type, phase, rule, approval }
    }
    case 'run': {
      if (wire.phase === 'end') {
        const { type, phase, run, outcome, totals } = wire
        return { ...placed, type, phase, run, outcome, totals }
      }
      const { type, phase, run, trigger, plan, policy_set: policySet, cutoff } = wire
      const clockAccepted = wire.clock_accepted ?? false
      return { ...placed, type, phase, run, trigger, plan, policySet, cutoff, clockAccepted }
    }
    case 'batch': {
      const { v: _, evidence, children, first_day_not_due: firstDayNotDue, ...rest } = wire
      return {
        ...rest,
        ...placed,
        firstDayNotDue,
        children: children.map(({ root, ...child }) => {
          return { ...child, ...(root !== undefined && { root: Buffer.from(root, 'base64') }) }
        }),
        evidence:
          evidence.alg === 'count'
            ? evidence
            : { ...evidence, root: Buffer.from(evidence.root, 'base64') },
      }
    }
    case 'hold': {
      const { type, phase, hold: id, case_sha256: caseDigest, scope, target = null } = wire
      return { ...placed, type, phase, hold: id, caseDigest, scope, target }
    }
    case 'keys':
      return wire.use === 'evidence'
        ? { ...placed, type: wire.type, use: wire.use, key: wire.key, check: wire.check }
        : { ...placed, type: wire.type, use: wire.use, key: wire.key }
    case 'heartbeat':
      return { ...placed, type: wire.type }
    case 'evidence-pruned':
      return { ...placed, type: wire.type, from: wire.from, to: wire.to, batches: wire.batches }
    case 'archived': {
      const { type, from, to, entries, size, root } = wire
      return { ...placed, type, from, to, entries, size, root: Buffer.from(root, 'base64') }
    }
    case 'evidence-key-destroyed':
      return { ...placed, type: wire.type, key: wire.key }
    case 'recovered': {
      const { type, why, size, entries, was } = wire
      return { ...placed, type, why, size, entries, was }
    }
    default:
      return wire satisfies never
  }
}

function timesOf({ time, clock, db }: Pick<Position, 'time' | 'clock' | 'db'>) {
  return { time, clock, db }
}
