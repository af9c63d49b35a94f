/** The sweep: every page of the heap once, in their order, so that each is read and dirtied once. */
import type { Stretch } from './stretch.ts'
import type { Part, Walk } from './walk.ts'

/** Aims below the size of a batch, so that one which met more than usual still fits. */
const AIM = 0.8

/** 32 MiB of pages of 8 KiB: a batch that finds nothing on them has taken a moment at most. */
const MOST_PAGES = 4096

/** How fast stretches grow, where less is due than before. */
const GROWTH = 2

export class HeapWalk implements Walk {
  readonly #parts: readonly Part[]
  #part = 0
  #page = 0
  /** Due rows on a page: as expected at first, then as the latest stretch met them. */
  #perPage: number
  /** Most pages of the next stretch. */
  #most = MOST_PAGES

  constructor(parts: readonly Part[], due: number) {
    this.#parts = parts
    const pages = parts.reduce((sum, part) => sum + part.pages, 0)
    this.#perPage = due / Math.max(1, pages)
  }

  async next(rows: number): Promise<Stretch | null> {
    const part = this.#parts[this.#part]
    if (part === undefined) return null
    const from = this.#page
    const end = from + this.#fitting(Math.max(1, rows * AIM))
    const isLast = end >= part.pages
    this.#part += isLast ? 1 : 0
    this.#page = isLast ? 0 : end
    // The last one has no end: rows that came since lie behind the page that was the last.
    const range = { kind: 'pages', from, before: isLast ? null : end } as const
    // A single page may hold more than a batch.
    return { part: part.table, range, fits: this.#perPage <= rows, order: 'place' }
  }

  learn({ range }: Stretch, rows: number): void {
    if (range.kind !== 'pages' || range.before === null) return
    const pages = range.before - range.from
    this.#perPage = rows / pages
    this.#most = Math.min(MOST_PAGES, pages * GROWTH)
  }

  /** About as many pages as hold so many due rows. */
  #fitting(aim: number): number {
    const pages = this.#perPage === 0 ? MOST_PAGES : Math.floor(aim / this.#perPage)
    return Math.max(1, Math.min(this.#most, pages))
  }
}
