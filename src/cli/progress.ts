import type { Log } from '../base/log.ts'
import type { Progress } from '../enforce/rule.ts'
import type { CliContext } from './context.ts'

/** Live progress on stderr: one line drawn over on a terminal, a line every 30 s elsewhere. */
export interface ProgressLine extends Disposable {
  readonly show: (progress: Progress) => void
  /** Warnings of a run, printed between the lines. */
  readonly log: Log
  /** Ends the drawn line, so that what follows begins on a new one. */
  readonly end: () => void
}

const LINE_EVERY_MS = 30_000
const DRAW_EVERY_MS = 100

export function progressOn(context: CliContext): ProgressLine {
  const startedMs = context.clock.monotonicMs()
  let shownMs = context.terminal ? -Infinity : startedMs
  let drawn = false
  const done = new Map<string, number>()
  const end = () => {
    if (drawn) context.err('\n')
    drawn = false
  }
  const say = (level: string) => (fields: object, message: string) => {
    end()
    context.err(`${level}: ${message}${spell(fields)}\n`)
  }
  return {
    show: (progress) => {
      done.set(progress.rule, progress.rows + progress.childRows)
      const nowMs = context.clock.monotonicMs()
      if (nowMs - shownMs < (context.terminal ? DRAW_EVERY_MS : LINE_EVERY_MS)) return
      shownMs = nowMs
      const total = [...done.values()].reduce((sum, rows) => sum + rows, 0)
      const line = renderProgress(progress, total, nowMs - startedMs)
      context.err(context.terminal ? `\r\u001b[K${line}` : `${line}\n`)
      drawn = context.terminal
    },
    log: { debug: () => {}, info: () => {}, warn: say('warning'), error: say('error') },
    end,
    [Symbol.dispose]: end,
  }
}

function renderProgress(
  { rule, rows, childRows }: Progress,
  total: number,
  elapsedMs: number,
): string {
  const along = childRows > 0 ? `, ${childRows} along` : ''
  const perSecond = Math.round(total / Math.max(elapsedMs / 1000, 0.001))
  return `${rule}: ${rows} rows${along}; in all ${total} rows, ${perSecond} a second`
}

function spell(fields: object): string {
  const parts = Object.entries(fields).map(([name, value]) => `${name} ${told(value)}`)
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`
}

/** Of an error what it says; its remedy is for the log. */
function told(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value)
  return 'message' in value ? String(value.message) : 'name' in value ? String(value.name) : ''
}
