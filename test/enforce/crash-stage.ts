/** The program as a process that is killed or told to stop, and what is there and journalled then. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect as dial, createServer, type Socket } from 'node:net'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { connect } from '../../src/db/connect.ts'
import { parseEntry, type Entry } from '../../src/journal/entry.ts'
import { treeHead } from '../../src/journal/nodes.ts'
import { journalReader, readEntries } from '../../src/journal/read.ts'
import { verify } from '../../src/journal/verify.ts'
import { start, startAtTerminal } from '../cli/program.ts'
import { openSite, type Site } from '../cli/site.ts'
import type { CrashingServer } from '../support/crashing-server.ts'

const SCHEMA = `
  create schema site;
  create table site.visit (id bigint generated always as identity primary key, seen_at timestamptz);
  create table site.page (
    id bigint generated always as identity primary key, visit_id bigint references site.visit
  );
  create index on site.page (visit_id);
  create table site.account (
    id bigint generated always as identity primary key, closed_on date, full_name text
  );
  create table site.event (id int, at timestamptz, primary key (id, at)) partition by range (at);
  create table site.event_now partition of site.event for values from ('2021-01-01') to (maxvalue);
  create table site.made (visits int, pages int, events int);
  insert into site.made values (500, 0, 0);
  insert into site.visit (seen_at) select now() from generate_series(1, 500);
  insert into site.account (closed_on, full_name) select now(), 'Kept' from generate_series(1, 500);`

const POLICY = `
version: 1
policy: site
owner: DPO
timezone: Europe/Paris
defaults: { mode: enforce, limits: { max_rows: 1000000, max_percent: 100 }, batch: { rows: 200 }, pace: { share: 100 } }
rules:
  - { id: visit, table: site.visit, start: seen_at, keep: 12 months, then: purge, references: { site.page: with_parent } }
  - { id: event, table: site.event, start: at, keep: 12 months, then: purge, batch: { rows: 200, partitions: drop } }
  - { id: account, table: site.account, start: closed_on, keep: 10 years, then: { anonymise: { full_name: { constant: Anonymised }, closed_on: { keep: it says when } } } }
`

/** Rows by what the tables say, or by what the journal says. */
export type Account = {
  readonly visits: number
  readonly pages: number
  readonly accounts: number
  readonly events: number
}

/** An enforcing process, and what became of it. */
export interface Enforcement {
  kill(signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): void
  /** Types at the terminal of the process, if it has one. */
  type(keys: string): void
  /** Returns when the process has said this on stderr. */
  says(text: string): Promise<void>
  /** The exit status, or the signal that ended the process. */
  readonly ended: Promise<number | string | null>
  readonly out: () => string
}

export interface CrashStage extends AsyncDisposable {
  readonly site: Site
  readonly tap: Tap
  /** The application goes on: as many due rows again as were acted on. */
  topUp(): Promise<void>
  enforce(at?: 'terminal'): Enforcement
  /** A batch that is to be journalled waits until the returned function is called. */
  hold(): Promise<() => Promise<void>>
  /** Returns when a batch waits, with the session that it has. */
  held(): Promise<number>
  /** Returns when more rows of that kind are gone or overwritten than in `than`. */
  beyond(kind: keyof Account, than: Account): Promise<void>
  /** `kill -9` of a session of the program that is at work, on a server that may be crashed. */
  killSession(): Promise<void>
  /** Returns when no session of the program is left in the server, and so nothing is undecided. */
  quiet(): Promise<void>
  /** Two minutes go by, after which nobody holds the lease of a dead process. */
  expireLease(): Promise<void>
  /** Rows gone and overwritten. */
  gone(): Promise<Account>
  /** Rows gone and overwritten, by the journal. */
  journalled(): Promise<Account>
  /** How the runs ended, in their order; `open` for one without an end. */
  runs(): Promise<readonly string[]>
  /** What the verification of the journal found. */
  findings(): Promise<readonly string[]>
}

/** Prepares a database as operators do, with all rules approved; on a server that may be crashed, if one is given. */
export async function openCrashStage(server: CrashingServer | null = null): Promise<CrashStage> {
  const site = await openSite(SCHEMA, server?.url())
  await site.govern(POLICY)
  await site.prepare()
  const stage = new OpenCrashStage(site, await openTap(site.database.superuserUrl), server)
  // An approval bounds a run by what its plan would have done.
  await stage.topUp()
  const plan = join(site.folder, 'plan.json')
  for (const args of [
    ['plan', '-o', plan],
    ['approve', plan],
  ]) {
    const { status, err } = await site.run(args)
    if (status !== 0) throw new Error(err)
  }
  return stage
}

/** Where there is no gate, the trigger does nothing. */
const HOLDING = `
  create table site.gate ();
  create or replace function site.hold() returns trigger language plpgsql as $$
  begin
    while position('"type":"batch"' in convert_from(new.body, 'UTF8')) > 0
      and exists (select from pg_catalog.pg_class where relname = 'gate')
    loop
      perform pg_sleep(0.01);
    end loop;
    return new;
  end $$;
  grant usage on schema site to public;
  create or replace trigger hold before insert on retentiond.entry for each row execute function site.hold()`

/** Most due rows that the application leaves at once. */
const DUE = 2000

class OpenCrashStage implements CrashStage {
  readonly site: Site
  readonly tap: Tap
  readonly #server: CrashingServer | null
  readonly #role: string

  constructor(site: Site, tap: Tap, server: CrashingServer | null) {
    this.site = site
    this.tap = tap
    this.#server = server
    this.#role = new URL(site.env['RETENTIOND_DATABASE_URL'] ?? '').username
  }

  async #sql<T extends object>(statements: string): Promise<readonly T[]> {
    return this.#server?.sql<T>(this.site.database.name, statements) ?? this.site.sql<T>(statements)
  }

  async killSession(): Promise<void> {
    await this.#server?.killSession(this.site.database.name, this.#role)
  }

  async topUp(): Promise<void> {
    // What was made is counted here: sequences go on by more than one after a crash.
    await this.#sql(`
      create table if not exists site.event_old partition of site.event
        for values from ('2020-01-01') to ('2021-01-01');
      grant select, update, delete on site.event_old to "${this.#role}";
      with
        visit as (
          insert into site.visit (seen_at)
          select now() - interval '2 years' from generate_series(1, ${DUE} + 500 - (select count(*) from site.visit))
          returning id
        ),
        page as (insert into site.page (visit_id) select id from visit returning 1),
        event as (
          insert into site.event
          select n, '2020-06-01' from generate_series(1, 300) as n
          on conflict do nothing
          returning 1
        )
      update site.made set
        visits = visits + (select count(*) from visit), pages = pages + (select count(*) from page),
        events = events + (select count(*) from event);
      insert into site.account (closed_on, full_name)
      select now() - interval '11 years', 'Name'
      from generate_series(1, ${DUE} / 2 - (select count(*) from site.account where full_name = 'Name'))`)
  }

  enforce(at?: 'terminal'): Enforcement {
    const url = new URL(this.site.env['RETENTIOND_DATABASE_URL'] ?? '')
    url.host = this.tap.host
    const env = { ...this.site.env, RETENTIOND_DATABASE_URL: url.href }
    const child = at === 'terminal' ? startAtTerminal(['enforce'], env) : start(['enforce'], env)
    const out: string[] = []
    const err: string[] = []
    child.stdout?.setEncoding('utf8').on('data', (text: string) => out.push(text))
    child.stderr?.setEncoding('utf8').on('data', (text: string) => err.push(text))
    return {
      kill: (signal) => child.kill(signal),
      type: (keys) => child.stdin?.write(keys),
      says: async (text) => {
        while (!err.join('').includes(text)) await once(child.stderr ?? child, 'data')
      },
      ended: once(child, 'close').then(([status, signal]: unknown[]) =>
        typeof signal === 'string' ? signal : typeof status === 'number' ? status : null,
      ),
      out: () => `${out.join('')}${err.join('')}`,
    }
  }

  async hold(): Promise<() => Promise<void>> {
    await this.#sql(HOLDING)
    return async () => {
      await this.#sql('drop table site.gate')
    }
  }

  async held(): Promise<number> {
    for (;;) {
      const [found] = await this.#sql<{ pid: number | null }>(
        `select pid, pg_sleep(0.02) from pg_stat_activity
         where datname = current_database() and wait_event = 'PgSleep' and pid <> pg_backend_pid()
         union all select null, pg_sleep(0.02) limit 1`,
      )
      if (found?.pid != null) return found.pid
    }
  }

  async beyond(kind: keyof Account, than: Account): Promise<void> {
    while ((await this.gone())[kind] <= than[kind]) {
      // Asked over the wire, so that each look gives the program its time.
    }
  }

  async quiet(): Promise<void> {
    let sessions = 1
    while (sessions > 0) {
      // Asked over the wire, so that each look gives the server its time.
      const [row] = await this.#sql<{ sessions: number }>(
        `select count(*)::int as sessions from pg_stat_activity where usename = '${this.#role}'`,
      )
      sessions = row?.sessions ?? 0
    }
  }

  async expireLease(): Promise<void> {
    await this.#sql(
      "update retentiond.lease set expires_at = clock_timestamp() - interval '1 second' where holder is not null",
    )
  }

  async gone(): Promise<Account> {
    // Nobody but the program deletes.
    const [row] = await this.#sql<Account>(`
      select
        visits - (select count(*)::int from site.visit) as visits,
        pages - (select count(*)::int from site.page) as pages,
        (select count(*)::int from site.account where full_name = 'Anonymised') as accounts,
        events - (select count(*)::int from site.event) as events
      from site.made`)
    if (row === undefined) throw new Error('no account')
    return row
  }

  async journalled(): Promise<Account> {
    const rows = new Map<string, number>()
    for (const entry of await this.#entries()) {
      if (entry.type !== 'batch') continue
      for (const part of [entry, ...entry.children]) {
        rows.set(part.target, (rows.get(part.target) ?? 0) + part.rows)
      }
    }
    return {
      visits: rows.get('site.visit') ?? 0,
      pages: rows.get('site.page') ?? 0,
      accounts: rows.get('site.account') ?? 0,
      events: rows.get('site.event') ?? 0,
    }
  }

  async runs(): Promise<readonly string[]> {
    const runs = new Map<string, string>()
    for (const entry of await this.#entries()) {
      if (entry.type !== 'run') continue
      runs.set(entry.run, entry.phase === 'start' ? 'open' : entry.outcome)
    }
    return [...runs.values()]
  }

  async findings(): Promise<readonly string[]> {
    await using reader = connect(this.site.database.superuserUrl)
    const { findings } = await verify(journalReader(reader.db), {
      trustKey: null,
      expected: await treeHead(reader.db),
    })
    return findings.map(({ seq, code, message }) => `${seq} ${code} ${message}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.tap[Symbol.asyncDispose]()
    if (this.#server === null) await this.site[Symbol.asyncDispose]()
    // The server goes, and the database with it.
    else await rm(this.site.folder, { recursive: true })
  }

  async #entries(): Promise<readonly Entry[]> {
    await using reader = connect(this.site.database.superuserUrl)
    const entries: Entry[] = []
    for await (const { body } of readEntries(reader.db)) {
      const { entry } = parseEntry(body)
      if (entry !== undefined) entries.push(entry)
    }
    return entries
  }
}

/** A link to the server on which the messages of the program are counted. */
export interface Tap extends AsyncDisposable {
  readonly host: string
  /** Messages since the last call of `at`. */
  readonly messages: number
  /** Calls `act` when that many messages from now have gone to the server. */
  at(messages: number, act: () => void): void
  /** Lets nothing through any more, in the direction of the program, until `at` is called again. */
  mute(): void
  /** Cuts the link at the next commit, which reaches the server when the returned function is called. */
  delayCommit(): Promise<() => void>
}

/** Opens a link to the server of `url`. */
export async function openTap(url: string): Promise<Tap> {
  const target = new URL(url)
  const state = {
    messages: 0,
    muted: false,
    at: Infinity,
    act: () => {},
    late: (_commit: () => void): boolean => false,
  }
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = dial(Number(target.port), target.hostname)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    }
    let orphaned = false
    client.on('data', (data) => {
      const isCommit = data.toString('latin1').toLowerCase().includes('commit\0')
      if (isCommit && state.late(() => upstream.write(data))) {
        orphaned = true
        client.destroy()
        return
      }
      upstream.write(data)
      state.messages += 1
      if (state.messages === state.at) state.act()
    })
    upstream.on('data', (data) => {
      if (!state.muted) client.write(data)
    })
    client.on('close', () => {
      if (!orphaned) upstream.destroy()
    })
    upstream.on('close', () => client.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    host: `127.0.0.1:${typeof address === 'object' ? address?.port : ''}`,
    get messages() {
      return state.messages
    },
    at: (messages, act) => Object.assign(state, { messages: 0, muted: false, at: messages, act }),
    mute: () => {
      state.muted = true
    },
    delayCommit: async () =>
      new Promise((resolve) => {
        state.late = (commit) => {
          state.late = () => false
          resolve(commit)
          return true
        }
      }),
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** A number from 1 to `most` that depends on the words alone, so that a failure can be repeated. */
export function chosen(most: number, ...words: readonly (string | number)[]): number {
  return (createHash('sha256').update(words.join(' ')).digest().readUInt32BE() % most) + 1
}
