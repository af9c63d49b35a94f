/**
 * After a run, when its lease is given back: the tables that it touched are tended, and what may
 * still be recovered is stated. Nothing here changes what the run was: a failure is told, not thrown.
 */
import { RetentionError, tell } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { printTable } from '../base/names.ts'
import type { Catalog, Table } from '../catalog/catalog.ts'
import type { FittedRule } from '../catalog/fitted.ts'
import {
  backupsUntil,
  inspectServerResidue,
  inspectTableResidue,
} from '../catalog/inspect-residue.ts'
import {
  CLEARS_SINCE,
  MAINTAIN_SINCE,
  readClock,
  refusesUpkeep,
  wasTended,
} from '../catalog/inspect-upkeep.ts'
import { quoted } from '../catalog/needs.ts'
import { tablesTouched } from '../catalog/needs-after.ts'
import type { Db } from '../db/connect.ts'
import { classify } from '../db/sqlstate.ts'
import { inSnapshot } from '../db/transaction.ts'
import { analyze, vacuum } from '../db/upkeep.ts'
import type { After } from '../policy/after.ts'
import type { PolicySet } from '../policy/policy.ts'
import { residueOf, type Residue } from './residue.ts'
import type { Progress } from './rule.ts'

export type AfterRun = {
  readonly tended: readonly Tended[]
  /** What may still be recovered; null if it could not be read. */
  readonly residue: readonly Residue[] | null
}

/** What was done to a table that the run touched. */
export type Tended = {
  readonly table: string
  readonly analyzed: boolean
  /** Statistics are kept of no table that was emptied. */
  readonly cleared: boolean
  readonly vacuumed: boolean
  /** Why something was not done, and what to do about it; null if all was that the policy asks for. */
  readonly why: string | null
}

type Request = {
  readonly db: Db
  readonly log: Log
  readonly set: PolicySet
  readonly catalog: Catalog
  readonly rules: readonly FittedRule[]
  readonly signal: AbortSignal
}

/** What each rule did, by its id; rules that did nothing are not in it. */
export type Acted = ReadonlyMap<string, Progress>

export async function afterRun(request: Request, acted: Acted): Promise<AfterRun> {
  const rules = request.rules.filter(({ rule }) => acted.has(rule.id))
  if (rules.length === 0) return { tended: [], residue: [] }
  const touched = touchedBy(rules, acted)
  const tended: Tended[] = []
  for (const each of touched) tended.push(await tend(request, each))
  const residue = await stateResidue(request, { rules, touched, tended })
  request.log.info({ tended, residue }, 'after the run')
  return { tended, residue }
}

/** A table, and what some rule that touched it wants done. */
type Touched = { readonly table: Table; readonly after: After }

function touchedBy(rules: readonly FittedRule[], acted: Acted): readonly Touched[] {
  const touched = new Map<string, Touched>()
  for (const fitted of rules) {
    const { after } = fitted.rule
    const along = (acted.get(fitted.rule.id)?.childRows ?? 0) > 0
    for (const table of tablesTouched(fitted, along)) {
      const other = touched.get(printTable(table))?.after ?? after
      touched.set(printTable(table), {
        table,
        after: { analyze: other.analyze || after.analyze, vacuum: other.vacuum || after.vacuum },
      })
    }
  }
  return [...touched].toSorted(([one], [other]) => (one < other ? -1 : 1)).map(([, each]) => each)
}

async function tend(request: Request, { table, after }: Touched): Promise<Tended> {
  const nothing = { table: printTable(table), analyzed: false, cleared: false, vacuumed: false }
  if (!after.analyze && !after.vacuum) return { ...nothing, why: 'as the policy says' }
  if (request.signal.aborted) return { ...nothing, why: 'the program was told to stop' }
  try {
    const refused = await refusalOf(request, table)
    return refused === null
      ? { ...nothing, ...(await carryOut(request, table, after)) }
      : { ...nothing, why: refused }
  } catch (error) {
    const named = classify(error)
    const why = named instanceof RetentionError ? named.message : 'it failed: see the log'
    request.log.warn({ table: nothing.table, err: tell(named) }, 'could not be tended')
    return { ...nothing, why }
  }
}

/** PostgreSQL only warns, where nobody reads it, if a role may not: so it is asked before. */
async function refusalOf({ db, catalog }: Request, table: Table): Promise<string | null> {
  const { role, serverVersion } = catalog.database
  const refusing = await refusesUpkeep(db, table.oid, serverVersion)
  if (refusing === null) return null
  const name = `${quoted(refusing.schema)}.${quoted(refusing.name)}`
  return serverVersion < MAINTAIN_SINCE
    ? `before PostgreSQL 17 only its owner may; have it run: analyze ${name};`
    : `the role may not: grant maintain on table ${name} to ${quoted(role)};`
}

type Done = Pick<Tended, 'analyzed' | 'cleared' | 'vacuumed' | 'why'>

/** VACUUM first: ANALYZE then sees the table as it stays. */
async function carryOut({ db, catalog }: Request, table: Table, after: After): Promise<Done> {
  const since = await readClock(db)
  const clears = catalog.database.serverVersion >= CLEARS_SINCE
  if (after.vacuum) await vacuum(db, table)
  if (after.analyze) await analyze(db, table, clears)
  const done = async (what: 'analyze' | 'vacuum') => wasTended(db, table.oid, { what, since })
  const vacuumed = after.vacuum && (await done('vacuum'))
  const analyzed = after.analyze && (await done('analyze'))
  const locked = vacuumed !== after.vacuum || analyzed !== after.analyze
  return {
    vacuumed,
    analyzed,
    cleared: analyzed && clears,
    why: locked ? 'another session had locked it, or a part of it' : null,
  }
}

type Stated = {
  readonly rules: readonly FittedRule[]
  readonly touched: readonly Touched[]
  readonly tended: readonly Tended[]
}

async function stateResidue(
  { db, log, set }: Request,
  { rules, touched, tended }: Stated,
): Promise<readonly Residue[] | null> {
  const kept = rules.map(({ rule: { zone, policy } }) => {
    return { zone, backups: set.policies.find(({ id }) => id === policy)?.backups ?? null }
  })
  const said = kept.flatMap(({ zone, backups }) => (backups === null ? [] : [{ zone, backups }]))
  try {
    return await inSnapshot(db, async (trx) => {
      const oids = touched.map(({ table }) => table.oid)
      const found = await inspectTableResidue(trx, oids)
      return residueOf({
        tables: found.flatMap((each) => {
          const at = oids.indexOf(each.oid)
          const done = tended[at]
          return done === undefined ? [] : [{ table: done.table, tended: done, found: each }]
        }),
        server: await inspectServerResidue(trx),
        rules,
        backupsUntil: said.length < kept.length ? null : await backupsUntil(trx, said),
      })
    })
  } catch (error) {
    log.warn({ err: tell(classify(error)) }, 'what may be recovered could not be read')
    return null
  }
}
