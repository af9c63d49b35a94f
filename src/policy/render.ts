import type { Problem } from '../base/problem.ts'
import { visible } from './visible.ts'

/**
 * Renders problems for people, in the order of their places, each with its source line. What they
 * quote of a file is escaped: a policy can't write to the terminal of the person who checks it.
 */
export function renderProblems(problems: readonly Problem[]): string {
  return problems.toSorted(byPlace).map(renderProblem).join('')
}

/** Compares problems by file, then line and column as numbers. */
export function byPlace(one: Problem, other: Problem): number {
  const [a, b] = [placeOf(one.at), placeOf(other.at)]
  if (a.file !== b.file) return a.file < b.file ? -1 : 1
  return a.line - b.line || a.column - b.column || (one.path < other.path ? -1 : 1)
}

function renderProblem(problem: Problem): string {
  const place = [problem.at, problem.path, problem.message].filter((part) => part !== '')
  const head = place.map((part) => visible(part)).join('  ')
  if (problem.frame !== undefined) {
    return `${head}\n${problem.frame
      .split('\n')
      .map((line) => visible(line))
      .join('\n')}\n`
  }
  return problem.remedy === undefined ? `${head}\n` : `${head}\n      ${visible(problem.remedy)}\n`
}

function placeOf(at: string): {
  readonly file: string
  readonly line: number
  readonly column: number
} {
  const match = /:([0-9]{1,9}):([0-9]{1,9})$/.exec(at)
  if (match === null) return { file: at, line: 0, column: 0 }
  return { file: at.slice(0, match.index), line: Number(match[1]), column: Number(match[2]) }
}
