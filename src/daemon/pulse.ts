/** What the daemon does for the journal between runs: says that it lives, and signs what others wrote. */
import { EXIT, RetentionError, tell } from '../base/errors.ts'
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Db } from '../db/connect.ts'
import { leaseHolder } from '../db/lease.ts'
import type { Checkpointer } from '../journal/checkpointer.ts'
import { beat } from '../journal/heartbeat.ts'
import type { Signer } from '../journal/signature.ts'

export type PulseTools = {
  readonly db: Db
  readonly signer: Signer
  readonly clock: Clock
  readonly log: Log
  readonly checkpointer?: Checkpointer | undefined
}

/** Once an hour; a heartbeat comes of it if the journal was silent for a day. */
export const PULSE = { cron: '17 * * * *', zone: 'UTC' } as const

/**
 * Appends a heartbeat if it is time, and signs the journal. Not while a run holds the lease: that
 * one signs. Gives the error that says that the journal is not sound; any other failure is logged,
 * and the next hour tries again.
 */
export async function pulse(tools: PulseTools): Promise<RetentionError | null> {
  const { db, log, checkpointer } = tools
  try {
    if ((await leaseHolder(db)) !== null) return null
    if (await beat(tools)) log.info({}, 'heartbeat')
    await checkpointer?.sign()
    return null
  } catch (error) {
    if (error instanceof RetentionError && error.exit === EXIT.journalUnsound) return error
    log.warn({ err: tell(error) }, 'no heartbeat and no checkpoint this hour')
    return null
  }
}

/** How often sinks that failed are looked at; for how long each is left alone, it knows itself. */
export const DELIVERY = { cron: '* * * * *', zone: 'UTC' } as const

/** Brings the newest checkpoint to sinks that lack it, also while a run is at work. */
export async function deliver({ log, checkpointer }: PulseTools): Promise<RetentionError | null> {
  try {
    await checkpointer?.deliver()
    return null
  } catch (error) {
    if (error instanceof RetentionError && error.exit === EXIT.journalUnsound) return error
    log.warn({ err: tell(error) }, 'no checkpoint could be brought to a sink')
    return null
  }
}
