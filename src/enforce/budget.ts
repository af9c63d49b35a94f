/** Rows that a rule may still act on in a run, shared by its connections: never more in all. */
export class Budget {
  #left: number

  constructor(rows: number) {
    this.#left = rows
  }

  /** Takes the rows of a batch before it commits; false if they are more than are left. */
  take(rows: number): boolean {
    if (rows > this.#left) return false
    this.#left -= rows
    return true
  }

  /** Gives back what a batch took that was rolled back. */
  giveBack(rows: number): void {
    this.#left += rows
  }
}
