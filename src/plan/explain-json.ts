/** The explanation as JSON: snake_case like the policies, documented in docs/explain.md. */
import type { Explanation } from './explain.ts'
import { renamed, toSnake } from './snake.ts'

/** Raised when a key goes away or changes its meaning; new keys do not raise it. */
const SCHEMA_VERSION = 1

export function renderExplanationJson(explanation: Explanation): string {
  const rules = explanation.rules.map((rule) => ({ ...rule, verdict: toSnake(rule.verdict) }))
  const shown = renamed({ schemaVersion: SCHEMA_VERSION, ...explanation, rules }, toSnake)
  return `${JSON.stringify(shown, null, 2)}\n`
}
