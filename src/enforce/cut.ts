import { EXIT, RetentionError } from '../base/errors.ts'

/** Somebody could not wait for the batch in hand. */
export class CutShortError extends RetentionError {
  readonly code = 'CUT_SHORT'
  readonly exit = EXIT.failed
  override readonly name = 'CutShortError'
}

export function cutShort(cause?: unknown): CutShortError {
  return new CutShortError('cut short by a second signal: the batch in hand was rolled back', {
    cause,
    remedy: 'the next run goes on from there',
  })
}
