import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { expect, test as base } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { printTable } from '../../src/base/names.ts'
import { renderDropFunctions } from '../../src/catalog/needs-drop.ts'
import { renderUpkeepGrants } from '../../src/catalog/needs-after.ts'
import { keeperNeeds, grantsOf, quoted, renderGrants } from '../../src/catalog/needs.ts'
import { archivesNamed, fitWithoutRights, tablesNamed } from '../../src/catalog/fit.ts'
import { inspectCatalog } from '../../src/catalog/inspect.ts'
import { connect, type Connection } from '../../src/db/connect.ts'
import { migrate } from '../../src/db/migrate.ts'
import { renderRoleGrants, type Roles } from '../../src/db/roles.ts'
import { inTransaction } from '../../src/db/transaction.ts'
import { enforcePlan, type RunRequest, type RunResult } from '../../src/enforce/run.ts'
import { parseEntry } from '../../src/journal/entry.ts'
import { openMemory } from '../../src/journal/memory.ts'
import { treeHead } from '../../src/journal/nodes.ts'
import { journalReader, readEntries } from '../../src/journal/read.ts'
import { signerOf, type Signer } from '../../src/journal/signature.ts'
import { openLog } from '../../src/journal/store.ts'
import { verify } from '../../src/journal/verify.ts'
import { makePlan, type Stand } from '../../src/plan/make.ts'
import type { Plan } from '../../src/plan/plan.ts'
import { prepare, valueOf, type Prepared } from '../../src/plan/prepare.ts'
import { parsePolicies } from '../../src/policy/parse.ts'
import { PROGRAM_PACE } from '../../src/policy/pace.ts'
import type { PseudonymKey } from '../../src/policy/pseudonym-key.ts'
import type { PolicySet } from '../../src/policy/policy.ts'
import { WALKS } from '../../src/policy/walk.ts'
import type { FittedRule } from '../../src/catalog/fitted.ts'
import { loadGrammar } from '../../src/policy/sql-grammar.ts'
import { pseudonymKey } from './builders.ts'
import { openTestDatabase, type TestDatabase } from './database.ts'

/**
 * A database of its own with the journal open, and the program as the daemon's role would run it.
 * When the test ends, the invariant is checked: rows gone = rows journalled, the journal verifies,
 * every run has its end, nobody holds the lease.
 */
export interface Bed extends AsyncDisposable {
  readonly database: TestDatabase
  /** As the daemon's role. */
  readonly connection: Connection
  readonly signer: Signer
  readonly roles: Roles
  /** Runs SQL as the application, a superuser here. */
  run(statement: string, values?: readonly unknown[]): Promise<void>
  /** Rows of one column or more, as the application sees them. */
  rows<T extends object = Record<string, unknown>>(statement: string): Promise<readonly T[]>
  /** Takes policies into use, and grants the daemon's role what they need. */
  govern(yaml: string, key?: PseudonymKey): Promise<Prepared & { readonly set: PolicySet }>
  /** A plan under the policies last taken into use. */
  plan(stand?: Stand): Promise<Plan>
  /** Makes a plan and carries it out as approved. */
  enforce(overrides?: Partial<RunRequest>): Promise<RunResult>
  /** Tells the invariant that the application itself removed rows, or added some if negative. */
  forget(table: string, rows: number): void
  /** Tells the invariant to count this table. Every governed table and child is counted by itself. */
  watch(): Promise<void>
}

export async function openBed(): Promise<Bed> {
  const database = await openTestDatabase()
  const roles = await makeRoles(database)
  const signer = newSigner()
  await using owner = connect(database.superuserUrl)
  await migrate(owner.db, { folder: 'migrations', roles })
  await inTransaction(owner.db, async (trx) =>
    openLog(
      trx,
      signer,
      { origin: 'test.example/purge', product: 'retentiond test', owner: roles.owner },
      systemClock,
    ),
  )
  const connection = connect(database.urlOf(roles.daemon), { max: 4 })
  return new OpenBed({ database, roles, signer, connection })
}

/** A test with a bed. The invariant is part of it. */
export const test = base.extend<{ bed: Bed }>({
  // eslint-disable-next-line no-empty-pattern
  bed: async ({}, use) => {
    await using bed = await openBed()
    await use(bed)
  },
})

type Parts = Pick<Bed, 'database' | 'roles' | 'signer' | 'connection'>

class OpenBed implements Bed {
  readonly database: TestDatabase
  readonly roles: Roles
  readonly signer: Signer
  readonly connection: Connection
  /** What the runs of the bed remember of its journal, as a daemon would: none may be disturbed by it. */
  readonly #memory = openMemory()
  #governed: (Prepared & { readonly set: PolicySet }) | null = null
  /** Rows seen in each watched table, less those that the application removed. */
  readonly #seen = new Map<string, number>()
  /** How SQL writes the name of a watched table. */
  readonly #quoted = new Map<string, string>()

  constructor(parts: Parts) {
    this.database = parts.database
    this.roles = parts.roles
    this.signer = parts.signer
    this.connection = parts.connection
  }

  async run(statement: string, values: readonly unknown[] = []): Promise<void> {
    await this.database.superuser.query(statement, [...values])
  }

  async rows<T extends object = Record<string, unknown>>(statement: string): Promise<readonly T[]> {
    return (await this.database.superuser.query<T>(statement)).rows
  }

  async govern(
    yaml: string,
    key: PseudonymKey = pseudonymKey(),
  ): Promise<Prepared & { readonly set: PolicySet }> {
    await loadGrammar([yaml])
    const set = valueOf(parsePolicies([{ file: 'policy.yaml', text: yaml }]))
    const catalog = await inspectCatalog(this.connection.db, tablesNamed(set), archivesNamed(set))
    const fitted = valueOf(fitWithoutRights(set, catalog, key))
    const grants = renderGrants(
      grantsOf(fitted, () => true),
      this.roles.daemon,
    )
    await this.run(grants)
    await this.run(renderDropFunctions(fitted, this.roles.daemon))
    const { serverVersion } = catalog.database
    await this.run(renderUpkeepGrants(fitted, { role: this.roles.daemon, serverVersion }))
    await this.run(renderGrants(fitted.flatMap(keeperNeeds), this.roles.keeper))
    const prepared = await prepare(this.connection.db, set, key)
    this.#governed = { ...prepared, rules: prepared.rules.map(asTested), set }
    await this.watch()
    return this.#governed
  }

  async plan(stand: Stand = { kind: 'now' }): Promise<Plan> {
    const { set, catalog, rules } = this.#inUse()
    return makePlan(this.connection.db, {
      policyDigest: set.digest,
      catalog,
      rules,
      stand,
      approved: null,
    })
  }

  async enforce(overrides: Partial<RunRequest> = {}): Promise<RunResult> {
    const { set, catalog, rules } = this.#inUse()
    await this.watch()
    const plan = overrides.plan ?? (await this.plan())
    return enforcePlan({
      db: this.connection.db,
      clock: systemClock,
      log: silentLog,
      signer: { ...this.signer, memory: this.#memory },
      set,
      catalog,
      rules,
      plan,
      trigger: 'manual',
      approval: plan.digest,
      acceptClock: false,
      connections: 1,
      holder: `test ${randomUUID()}`,
      signal: new AbortController().signal,
      ...overrides,
    })
  }

  forget(table: string, rows: number): void {
    const seen = this.#seen.get(table)
    if (seen !== undefined) this.#seen.set(table, seen - rows)
  }

  /** Counts the rows that are there now beside those that the journal says are gone. */
  async watch(): Promise<void> {
    const gone = await this.#journalled()
    for (const [table, written] of this.#watched()) {
      this.#quoted.set(table, written)
      const [row] = await this.rows<{ rows: string }>(`select count(*) as rows from ${written}`)
      this.#seen.set(table, Number(row?.rows) + (gone.get(table) ?? 0))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#checkInvariant()
    } finally {
      await this.connection[Symbol.asyncDispose]()
      await dropRoles(this.database, this.roles)
      await this.database[Symbol.asyncDispose]()
    }
  }

  #inUse() {
    if (this.#governed === null) throw new Error('no policy is in use: call govern first')
    return this.#governed
  }

  /** Each table by the name that the journal has for it, and as SQL writes it. */
  #watched(): ReadonlyMap<string, string> {
    const rules = this.#governed?.rules ?? []
    const tables = rules.flatMap(({ table, children, archive }) => [
      table,
      ...(archive?.moves ?? []).map(({ to }) => to),
      ...children.map((child) => child.table),
    ])
    return new Map(
      tables.map((table) => [printTable(table), `${quoted(table.schema)}.${quoted(table.name)}`]),
    )
  }

  async #journalled(): Promise<ReadonlyMap<string, number>> {
    const gone = new Map<string, number>()
    await using reader = connect(this.database.superuserUrl)
    const archives = new Map<string, string>()
    const count = (table: string, rows: number): void => {
      gone.set(table, (gone.get(table) ?? 0) + rows)
    }
    for await (const { body } of readEntries(reader.db)) {
      const { entry } = parseEntry(body)
      if (entry?.type === 'policy') {
        for (const { target, archive } of entry.archives) archives.set(target, archive)
      }
      if (entry?.type !== 'batch') continue
      for (const part of [entry, ...entry.children]) {
        if (part.action !== 'purge' && part.action !== 'block') continue
        count(part.target, part.rows)
        if (part.action === 'block') count(archives.get(part.target) ?? '', -part.rows)
      }
    }
    return gone
  }

  async #checkInvariant(): Promise<void> {
    const gone = await this.#journalled()
    for (const [table, seen] of this.#seen) {
      const [row] = await this.rows<{ rows: string }>(
        `select count(*) as rows from ${this.#quoted.get(table)}`,
      )
      expect(`${table}: ${seen - Number(row?.rows)} gone`).toBe(
        `${table}: ${gone.get(table) ?? 0} gone`,
      )
    }
    await using reader = connect(this.database.superuserUrl)
    const report = await verify(journalReader(reader.db), {
      trustKey: null,
      expected: await treeHead(reader.db),
    })
    expect(report.findings).toEqual([])
    expect(report.remarks.filter(({ code }) => code === 'UNFINISHED')).toEqual([])
    const { rows: idle } = await sql<{ pid: number }>`
      select pid from pg_stat_activity
      where datname = current_database() and state like 'idle in transaction%'`.execute(reader.db)
    expect(idle).toEqual([])
    const leases = await this.rows('select holder from retentiond.lease where holder is not null')
    expect(leases).toEqual([])
  }
}

/**
 * `TEST_WALK=heap` sends every rule that names no walk of its own through the heap, small as the
 * tables are. A rule that names no share of the time does not rest between its batches: half the
 * time of the tests would be rest.
 */
function asTested(fitted: FittedRule): FittedRule {
  const told = WALKS.find((walk) => walk === process.env['TEST_WALK']) ?? null
  const { rule, start } = fitted
  const walk = told === 'index' && start.kind !== 'column' ? 'heap' : told
  const share = rule.pace.share === PROGRAM_PACE.share ? 100 : rule.pace.share
  return { ...fitted, rule: { ...rule, walk: rule.walk ?? walk, pace: { ...rule.pace, share } } }
}

function newSigner(): Signer {
  const { privateKey } = generateKeyPairSync('ed25519')
  const signer = signerOf(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
  if (signer === null) throw new Error('no signer')
  return signer
}

/** Roles are of the cluster, so each bed has its own. */
async function makeRoles(database: TestDatabase): Promise<Roles> {
  const unique = database.name.replace('test_', '')
  const roles = {
    owner: `owner_${unique}`,
    daemon: `daemon_${unique}`,
    auditor: `auditor_${unique}`,
    keeper: `keeper_${unique}`,
  }
  const [version] = (
    await database.superuser.query<{ major: number }>(
      "select current_setting('server_version_num')::int / 10000 as major",
    )
  ).rows
  await database.superuser.query(
    renderRoleGrants(roles, { database: database.name, serverVersion: version?.major ?? 18 }),
  )
  for (const role of [roles.daemon, roles.auditor, roles.keeper]) {
    await database.superuser.query(`alter role ${role} password 'test'`)
  }
  return roles
}

async function dropRoles(database: TestDatabase, roles: Roles): Promise<void> {
  for (const role of [roles.daemon, roles.auditor, roles.keeper, roles.owner]) {
    await database.superuser.query(`drop owned by ${role} cascade`)
    await database.superuser.query(`drop role ${role}`)
  }
}
