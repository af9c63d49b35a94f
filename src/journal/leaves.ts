/** The hashes of all leaves of a journal, in 32 bytes each: a million of them are 32 MB, not 200. */
import { invariant } from '../base/errors.ts'
import { nodeHash, type Hash, type ReadNodes } from './merkle.ts'

const BYTES = 32

export class Leaves {
  #bytes = Buffer.alloc(1024 * BYTES)
  #size = 0

  get size(): number {
    return this.#size
  }

  push(leaf: Hash): void {
    if (this.#bytes.length === this.#size * BYTES) {
      this.#bytes = Buffer.concat([this.#bytes], 2 * this.#bytes.length)
    }
    leaf.copy(this.#bytes, this.#size * BYTES)
    this.#size += 1
  }

  /** Reads nodes of the tree of them; each is computed when it is asked for. */
  readonly nodes: ReadNodes = async (nodes) =>
    nodes.map(({ level, index }) => {
      invariant((index + 1) * 2 ** level <= this.#size, 'the tree has no such node')
      return Buffer.from(this.#node(level, index))
    })

  #node(level: number, index: number): Hash {
    if (level > 0) {
      return nodeHash(this.#node(level - 1, 2 * index), this.#node(level - 1, 2 * index + 1))
    }
    return this.#bytes.subarray(index * BYTES, (index + 1) * BYTES)
  }
}
