/** The sweep: every page of the heap once, in their order, so that each is read and dirtied once. */
import type { Stretch } from './stretch.ts'
import type { Part, Walk } from './walk.ts'

/** Aims below the size of a batch, so that one which met more than usual still fits. */
const AIM = 0.8

/** 32 MiB of pages of 8 KiB: a batch that finds nothing on them has taken a moment at most. */
const MOST_PAGES = 4096

/** How fast stretches grow, where less is due than before. */
const GROWTH = 2

export type Expected = { readonly due: number; readonly batchRows: number }

export class HeapWalk implements Walk {
  readonly #parts: readonly Part[]
  readonly #aim: number
  #part = 0
  #page = 0
  /** Pages of the next stretch: about as many as hold a batch of due rows. */
  #pages: number
  /** A single page may hold more than a batch. */
  #fits: boolean

  constructor(parts: readonly Part[], { due, batchRows }: Expected) {
    this.#parts = parts
    this.#aim = Math.max(1, batchRows * AIM)
    const pages = parts.reduce((sum, part) => sum + part.pages, 0)
    this.#pages = this.#fitting(due / Math.max(1, pages))
    this.#fits = due <= batchRows * pages
  }

  async next(): Promise<Stretch | null> {
    const part = this.#parts[this.#part]
    if (part === undefined) return null
    const from = this.#page
    const end = from + this.#pages
    const isLast = end >= part.pages
    this.#part += isLast ? 1 : 0
    this.#page = isLast ? 0 : end
    // The last one has no end: rows that came since lie behind the page that was the last.
    const range = { kind: 'pages', from, before: isLast ? null : end } as const
    return { part: part.table, range, fits: this.#fits, order: 'place' }
  }

  learn({ range }: Stretch, rows: number): void {
    if (range.kind !== 'pages' || range.before === null) return
    const fitting = this.#fitting(rows / (range.before - range.from))
    this.#fits = rows <= this.#aim * (range.before - range.from)
    this.#pages = Math.min(fitting, this.#pages * GROWTH)
  }

  #fitting(perPage: number): number {
    const pages = perPage === 0 ? MOST_PAGES : Math.floor(this.#aim / perPage)
    return Math.max(1, Math.min(MOST_PAGES, pages))
  }
}
