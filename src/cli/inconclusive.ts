/** Exit status 1 of what verifies is proof of tampering, so nothing else may end with it. */
import { Bug, EXIT, RetentionError } from '../base/errors.ts'
import { nameFailure } from './failure.ts'

/** The journal could not be read to its end, or shows too little: neither sound nor tampered with. */
export class InconclusiveError extends RetentionError {
  readonly code = 'JOURNAL_INCONCLUSIVE'
  readonly exit = EXIT.refused
  override readonly name = 'InconclusiveError'
}

/** A file that was handed in is in no form that we read: a trust file, a proof, a checkpoint. */
export class MalformedError extends RetentionError {
  readonly code = 'INPUT_MALFORMED'
  readonly exit = EXIT.usage
  override readonly name = 'MalformedError'
}

/** There is proof that the journal, or what was made of it, is not as it was written. */
export class TamperedError extends RetentionError {
  readonly code = 'JOURNAL_TAMPERED'
  readonly exit = EXIT.failed
  override readonly name = 'TamperedError'
}

/** Runs what verifies. A failure is inconclusive, unless it is about what was handed in. */
export async function inconclusive<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const named = nameFailure(error)
    const said = [InconclusiveError, MalformedError, TamperedError]
    if (said.some((kind) => named instanceof kind)) throw named
    if (!(named instanceof RetentionError) || named instanceof Bug) {
      throw new InconclusiveError('inconclusive: the journal could not be read', { cause: named })
    }
    throw new InconclusiveError(`inconclusive: ${named.message}`, {
      cause: named,
      ...(named.remedy === undefined ? {} : { remedy: named.remedy }),
    })
  }
}
