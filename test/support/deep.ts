/** How long random tests look for a counterexample, and how one that was found is tried again. */

/** `ci` on every push; `deep` with `npm run test:deep`, which sets RETENTIOND_DEEP=1. */
export function deep(ci: number, deep: number): number {
  return isDeep() ? deep : ci
}

export function isDeep(): boolean {
  return process.env['RETENTIOND_DEEP'] === '1'
}

/** What the environment asks to replay; `otherwise` without it. */
export function asked(variable: string, otherwise: string): string {
  return process.env[variable] ?? otherwise
}

/** Reads `9,10` and `1-500`. */
export function numbersOf(text: string): readonly number[] {
  return text.split(',').flatMap((part) => {
    const [from = 1, to = from] = part.split('-').map(Number)
    return Array.from({ length: to - from + 1 }, (_, at) => from + at)
  })
}
