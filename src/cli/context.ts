import { readFileSync } from 'node:fs'
import type { Clock } from '../base/clock.ts'
import { ConfigError, type ExitStatus } from '../base/errors.ts'
import { silentLog, type Log } from '../base/log.ts'
import type { Power } from '../catalog/inspect-role.ts'
import { proveDatabase } from '../catalog/pinned.ts'
import {
  connect,
  explainConnectFailure,
  type Connection,
  type ConnectOptions,
} from '../db/connect.ts'
import type { Db } from '../db/connect.ts'
import { sql } from 'kysely'
import { openAnchored } from '../anchor/anchored.ts'
import { openAnchoring } from '../anchor/anchoring.ts'
import { requireRemembered } from '../anchor/guard.ts'
import { writeState } from '../anchor/state-file.ts'
import type { Checkpointer, CheckpointTools, Publish } from '../journal/checkpointer.ts'
import { readEvidenceFile } from '../journal/evidence-file.ts'
import type { EvidenceKey } from '../journal/evidence.ts'
import { findLostGuards, LOST_GUARD_REMEDY, printLostGuard } from '../journal/guards.ts'
import { readCheckpointKeyFile, readKeyFile } from '../journal/key-file.ts'
import { openMemory } from '../journal/memory.ts'
import type { Signer } from '../journal/signature.ts'
import { valueOf } from '../plan/prepare.ts'
import { loadPolicies } from '../policy/load.ts'
import type { PolicySet } from '../policy/policy.ts'
import type { PseudonymKey } from '../policy/pseudonym-key.ts'
import { visible } from '../policy/visible.ts'
import { required, type Config } from './config.ts'
import { readAnchors, type Anchors } from './anchors-file.ts'
import { readPseudonymKey } from './pseudonym-file.ts'

/** What a command may touch of the world outside. Data goes to `out`, all talk to `err`. */
export type CliContext = {
  /** Parsed on first use, so that `--help` works without an environment. */
  readonly config: () => Config
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  /** stderr is a terminal that may be drawn on. */
  readonly terminal: boolean
  readonly clock: Clock
  /** The daemon's log; commands say what they have to say by `err`. */
  readonly log: () => Log
  /**
   * Aborts on the first SIGINT or SIGTERM. Asking for it is the promise to stop soon after: until a
   * command has asked, a signal ends the process at once.
   */
  readonly stopSignal: () => AbortSignal
  /**
   * Aborts on the second one. Asking for it is the promise to roll back what is in hand and say so:
   * until a command has asked, the second signal ends the process at once.
   */
  readonly cutSignal: () => AbortSignal
  /** Calls back on each SIGHUP. */
  readonly onReload: (reload: () => void) => void
  /** The status to exit with, if the command ends without an error. */
  readonly exit: (status: ExitStatus) => void
}

/** Connects as the configuration says; a failure names its place. */
export async function openConnection(
  context: CliContext,
  options: ConnectOptions = {},
): Promise<Connection> {
  const { databaseUrl, rereadDatabaseUrl } = context.config()
  const url = required(databaseUrl)
  return openAt(url, { ...options, url: keeping(url, rereadDatabaseUrl) })
}

/**
 * The connection of a process that waits for its database: `ask` throws what `openGoverned` would.
 */
export function openWhenAsked(
  context: CliContext,
  set: PolicySet,
  options: ConnectOptions = {},
): Connection & { readonly ask: () => Promise<void> } {
  const { databaseUrl, rereadDatabaseUrl } = context.config()
  const url = required(databaseUrl)
  const connection = connect(keeping(url, rereadDatabaseUrl), options)
  return {
    ...connection,
    ask: async () => {
      await answered(connection, url)
      await proveDatabase(connection.db, set)
    },
  }
}

/** A file that is being replaced may be missing or half written for a moment: what it said stays. */
function keeping(url: string, reread: () => string): () => string {
  let last = url
  return () => {
    try {
      last = reread() || last
    } catch {
      // Said at the start if it was wrong then; a connection that fails says what is wrong now.
    }
    return last
  }
}

/** Connects to the database that the policies are for; another one is refused before it is asked anything. */
export async function openGoverned(
  context: CliContext,
  set: PolicySet,
  options: ConnectOptions = {},
): Promise<Connection> {
  const connection = await openConnection(context, options)
  try {
    await proveDatabase(connection.db, set)
    return connection
  } catch (error) {
    await connection[Symbol.asyncDispose]()
    throw error
  }
}

/** Aborts when a run is to be cut short, as its statements are then. */
export function cuttingShort({ cutSignal }: CliContext, { cancel }: Connection): AbortSignal {
  const signal = cutSignal()
  signal.addEventListener('abort', cancel, { once: true })
  return signal
}

/** Says on stderr what the role may do and should not. */
export function warnOfPowers({ err }: CliContext, powers: readonly Power[]): void {
  for (const { message, remedy } of powers)
    err(`warning: ${visible(message)}\n  ${visible(remedy)}\n`)
}

/** Says on stderr which guards of the journal do not stand. They prove nothing, so that is no error. */
export async function warnOfLostGuards({ err }: CliContext, db: Db): Promise<void> {
  for (const lost of await findLostGuards(db)) {
    err(`warning: ${printLostGuard(lost)}\n  ${LOST_GUARD_REMEDY}\n`)
  }
}

/** Says on stderr which rules a run would refuse here, since it could not prove their rows. */
export function warnOfMissingEvidence({ config, err }: CliContext, { rules }: PolicySet): void {
  const wanting = rules.filter(({ evidence, mode }) => evidence === 'rows' && mode === 'enforce')
  if (wanting.length === 0 || config().evidenceKeyFile !== null) return
  const names = wanting.map(({ id }) => id).join(', ')
  err(
    `warning: evidence of rows is wanted by ${visible(names)}, and there is no evidence key here: a run without one is refused\n  where enforce runs, set RETENTIOND_EVIDENCE_KEY_FILE (retentiond keygen --evidence makes a key), or write evidence: count\n`,
  )
}

/** Connects and asks for one answer, so that what is wrong shows before anything depends on it. */
export async function openAt(
  url: string,
  options: ConnectOptions & { readonly url?: () => string } = {},
): Promise<Connection> {
  const connection = connect(options.url ?? url, options)
  try {
    await answered(connection, url)
    return connection
  } catch (error) {
    await connection[Symbol.asyncDispose]()
    throw error
  }
}

async function answered({ db }: Connection, url: string): Promise<void> {
  try {
    await sql`select 1`.execute(db)
  } catch (error) {
    throw explainConnectFailure(url, error)
  }
}

/** Loads the policies of the configured folder; every problem at once is the error. */
export async function loadConfigured(context: CliContext, folder?: string): Promise<PolicySet> {
  return valueOf(await loadPolicies(folder ?? context.config().policies))
}

/** Opens what signs checkpoints and brings them to the sinks, if a key is set. */
export async function checkpointer(
  context: CliContext,
  tools: Omit<CheckpointTools, 'checkpoints'> & { readonly log: Log },
  publish: Publish,
): Promise<Checkpointer | undefined> {
  const { checkpointKeyFile } = context.config()
  const anchors = await readConfiguredAnchors(context)
  if (checkpointKeyFile === null && anchors.sinks.length > 0) {
    throw new ConfigError('there are sinks, and RETENTIOND_CHECKPOINT_KEY_FILE is not set', {
      remedy: 'make a key with: retentiond keygen checkpoint.key, then set it to that file',
    })
  }
  if (checkpointKeyFile === null) return undefined
  const checkpoints = await readCheckpointKeyFile(checkpointKeyFile)
  const { stateFile } = context.config()
  const remember = stateFile === null ? {} : { remember: rememberIn(stateFile) }
  return openAnchored(
    { ...tools, checkpoints, ...remember },
    openAnchoring({ ...tools, ...anchors }),
    publish,
  )
}

function rememberIn(stateFile: string): NonNullable<CheckpointTools['remember']> {
  return async (head) => writeState(stateFile, head)
}

/** Reads the entry key; what it signs in this process continues what it signed before. */
export async function openSigner(context: CliContext): Promise<Signer> {
  const signer = await readKeyFile(required(context.config().entryKeyFile))
  return { ...signer, memory: openMemory() }
}

/** Throws unless the journal continues what the state file remembers, and the sinks if they are asked. */
export async function guard(
  context: CliContext,
  { db, log = silentLog, sinks }: Guarded,
): Promise<void> {
  const { stateFile } = context.config()
  const asked = sinks === 'asked' ? (await readConfiguredAnchors(context)).sinks : []
  await requireRemembered({ db, log, stateFile, sinks: asked })
}

type Guarded = { readonly db: Db; readonly log?: Log; readonly sinks: 'asked' | 'left alone' }

/** Opens the sinks that the configuration names. */
export async function readConfiguredAnchors(context: CliContext): Promise<Anchors> {
  const { anchorsFile } = context.config()
  if (anchorsFile === null) return { sinks: [], quorum: 1, maxLagMs: Infinity }
  return readAnchors(anchorsFile, readSecret(anchorsFile), context.clock)
}

/** Reads the key under which rows are committed to, if one is set. */
export async function evidenceKey(context: CliContext): Promise<EvidenceKey | null> {
  const { evidenceKeyFile } = context.config()
  return evidenceKeyFile === null ? null : readEvidenceFile(evidenceKeyFile)
}

/** Reads the key of pseudonyms, if one is set; a rule that needs it is a problem without. */
export async function pseudonymKey(context: CliContext): Promise<PseudonymKey | null> {
  const { pseudonymKeyFile } = context.config()
  return pseudonymKeyFile === null ? null : readPseudonymKey(pseudonymKeyFile)
}

/** Reads a file that holds a secret; nothing of it is in the error. */
export function readSecret(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw fileError(file, 'read', error)
  }
}

/** Turns what a file operation failed with into an error that names the file. */
export function fileError(path: string, doing: 'read' | 'write', error: unknown): ConfigError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
  return new ConfigError(
    `${path} could not be ${doing === 'read' ? 'read' : 'written'} (${code})`,
    {
      cause: error,
      remedy: 'check the path and its rights',
    },
  )
}
