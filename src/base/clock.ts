/** Where the time comes from. Nothing else in src/ may ask the machine for it. */
export interface Clock {
  /** The host's wall clock. */
  now(): Date
  /** Milliseconds that never go backward, from an arbitrary start. */
  monotonicMs(): number
}

export const systemClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
}
