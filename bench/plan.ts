/**
 * How long `plan` takes on a large table, beside statements that say less.
 *
 *     npm run bench:plan -- --rows 10000000
 *     npm run bench:plan -- --rows 10000000 --database postgresql://… --statements
 *
 * Two cases: a period that starts in a column of the row, and one that starts at the end of a
 * relationship, which contracts tell, with holds. Without `--database` a throw-away server is
 * started, with the settings of a fresh installation. With it a schema `bench` is made there, and is
 * left for the next time.
 */
import { availableParallelism, cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { Client } from 'pg'
import { startPostgres } from '../deploy/embedded/postgres.ts'
import { connect, type Db } from '../src/db/connect.ts'
import { migrate } from '../src/db/migrate.ts'
import { DEFAULT_ROLES, renderRoleGrants } from '../src/db/roles.ts'
import { makePlan } from '../src/plan/make.ts'
import { prepare, valueOf } from '../src/plan/prepare.ts'
import { parsePolicies } from '../src/policy/parse.ts'
import { loadRows } from './plan-data.ts'

const { values: options } = parseArgs({
  options: {
    rows: { type: 'string', default: '1000000' },
    database: { type: 'string' },
    /** Prints how PostgreSQL carries out the slow statements of each plan. */
    statements: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '3' },
    /** Only the case of this name: `column` or `event`. */
    case: { type: 'string', default: '' },
  },
})

type Case = {
  readonly name: string
  readonly policy: string
  /** Statements that a person would write instead, or that say less. */
  readonly peers: Readonly<Record<string, string>>
}

const HEAD = `
version: 1
policy: bench
owner: bench
timezone: Europe/Paris
sentinels: { open: ['9999-12-31'], invalid: ['1900-01-01', '1970-01-01'] }
`

const CASES: readonly Case[] = [
  {
    name: 'column',
    policy: `${HEAD}
rules:
  - id: connection
    table: bench.connection
    start: recorded_at
    keep: 12 months
    then: purge
`,
    peers: {
      'count(*)': 'select count(*) from bench.connection',
      'count due': `select count(*) from bench.connection where recorded_at < now() - interval '12 months'`,
      'count by day': `select recorded_at::date, count(*) from bench.connection group by 1`,
    },
  },
  {
    name: 'event',
    policy: `${HEAD}
holds:
  - table: bench.litigation
    covers: { bench.customer: customer_id }
    while: { closed_on: null }
rules:
  - id: customer
    table: bench.customer
    subject: id
    start: { latest: bench.contract.ended_on, by: { customer_id: id } }
    keep: 5 years
    then:
      anonymise:
        full_name: { constant: Anonymised }
        email: nothing
    references: { bench.contract: own_rule, bench.litigation: own_rule }
  - id: contract
    table: bench.contract
    start: { latest: bench.contract.ended_on, via: bench.customer, by: { customer_id: customer_id } }
    keep: 5 years
    then: purge
  - id: litigation
    table: bench.litigation
    start: closed_on
    keep: 5 years
    then: purge
`,
    peers: {
      'count(*)':
        'select (select count(*) from bench.customer), (select count(*) from bench.contract)',
      'count due': `select count(*) from bench.customer as c where not exists (
          select from bench.contract as k where k.customer_id = c.id
            and (k.ended_on is null or k.ended_on >= now() - interval '10 years'))`,
      'count by last day': `select latest, count(*) from (
          select c.id, max(k.ended_on) as latest from bench.customer as c
          left join bench.contract as k on k.customer_id = c.id group by c.id) as each
        group by latest`,
    },
  },
]

await main()

async function main(): Promise<void> {
  await using server = options.database === undefined ? await startPostgres() : null
  const url = options.database ?? server?.url() ?? ''
  const client = new Client({ connectionString: url })
  await client.connect()
  await loadRows(client, Number(options.rows))
  await setUp(client, url)
  const version = await client.query<{ server_version: string }>('show server_version')
  console.log(
    `${options.rows} rows, PostgreSQL ${version.rows[0]?.server_version}, Node ${process.version}, ${availableParallelism()} × ${cpus()[0]?.model}`,
  )
  for (const each of CASES) {
    if (each.name.includes(options.case)) await measure(client, url, each)
  }
  await client.end()
}

/** Roles and our own tables: a census asks them for holds and for what was anonymised before. */
async function setUp(client: Client, url: string): Promise<void> {
  const { rows } = await client.query<{ name: string; major: number }>(
    `select current_database() as name, current_setting('server_version_num')::int / 10000 as major`,
  )
  const [facts] = rows
  await client.query(
    renderRoleGrants(DEFAULT_ROLES, {
      database: facts?.name ?? '',
      serverVersion: facts?.major ?? 18,
    }),
  )
  await using owner = connect(url)
  await migrate(owner.db, { folder: 'migrations', roles: DEFAULT_ROLES })
}

async function measure(client: Client, url: string, each: Case): Promise<void> {
  const peers: Record<string, number> = {}
  for (const [name, statement] of Object.entries(each.peers)) {
    peers[name] = await best(async () => client.query(statement))
  }
  await using connection = connect(url, { max: 2 })
  const plan = await best(async () => planOf(connection.db, each))
  const lines = Object.entries(peers).map(
    ([name, seconds]) =>
      `  ${name.padEnd(18)} ${shown(seconds)} s   plan takes ${(plan / seconds).toFixed(1)} times as long`,
  )
  const memory = Math.round(process.memoryUsage().rss / 2 ** 20)
  console.log([`${each.name}: plan ${shown(plan)} s, ${memory} MiB resident`, ...lines].join('\n'))
}

async function planOf(db: Db, each: Case): Promise<void> {
  const set = valueOf(parsePolicies([{ file: 'bench.yaml', text: each.policy }]))
  const { catalog, rules } = await prepare(db, set)
  const plan = await makePlan(db, {
    policyDigest: set.digest,
    catalog,
    rules,
    stand: { kind: 'now' },
    approved: null,
  })
  if (options.statements) for (const rule of plan.rules) console.log(rule.rule, rule.counts)
}

/** Seconds of the fastest round: the others measure what else the machine does. */
async function best(work: () => Promise<unknown>): Promise<number> {
  let seconds = Infinity
  for (let round = 0; round < Number(options.rounds); round += 1) {
    const before = performance.now()
    await work()
    seconds = Math.min(seconds, (performance.now() - before) / 1000)
  }
  return seconds
}

function shown(seconds: number): string {
  return seconds.toFixed(2).padStart(6)
}
