import {
  Bug,
  countProblems,
  EXIT,
  PolicyError,
  RetentionError,
  tell,
  UnreachableError,
  type ExitStatus,
} from '../base/errors.ts'
import { classify, saysConnectionLost } from '../db/sqlstate.ts'
import { renderProblems } from '../policy/render.ts'

/** What the terminal is told of an error, and the status to exit with. */
export type Failure = { readonly text: string; readonly exit: ExitStatus }

/** Renders an error for people: a message, its remedy on a line of its own, and no value of a row. */
export function renderFailure(error: unknown): Failure {
  const named = nameFailure(error)
  if (named instanceof PolicyError) {
    const { problems, exit } = named
    const rights = problems.some(({ code }) => code === 'privilege_missing')
      ? 'retentiond grants, as an administrator, prints all the rights that the rules need\n'
      : ''
    return {
      text: `${renderProblems(problems)}${rights}${countProblems(problems)}; nothing was done\n`,
      exit,
    }
  }
  const { name, code, message, remedy, at } = tell(named)
  const lines = [
    `retentiond: ${message ?? `unexpected ${name}${code === undefined ? '' : ` ${code}`}`}`,
    ...(remedy === undefined ? [] : [`  ${remedy}`]),
    ...(at ?? []).map((frame) => `    ${frame}`),
    ...(isForeseen(named) ? [] : ['  please report this with the command you ran']),
  ]
  return {
    text: `${lines.join('\n')}\n`,
    exit: named instanceof RetentionError ? named.exit : EXIT.failed,
  }
}

/** Names what PostgreSQL or the network reported; every other error stays what it is. */
export function nameFailure(error: unknown): unknown {
  if (error instanceof RetentionError) return error
  if (saysConnectionLost(error)) {
    return new UnreachableError('the connection to the database was lost', {
      cause: error,
      remedy: 'look at the log of the server, and try again',
    })
  }
  return classify(error)
}

/** A bug of ours says so itself. */
function isForeseen(error: unknown): boolean {
  return error instanceof RetentionError && !(error instanceof Bug && error.remedy === undefined)
}
