/** The tree of a journal in tiles of 256 hashes, as C2SP tlog-tiles publishes logs. */
import { EMPTY_RANGE, extend, leafHash, rootOf, type Hash } from './merkle.ts'

/** A file of the layout: its path, and its bytes. */
export type Tile = { readonly path: string; readonly bytes: Buffer }

const WIDTH = 256

/** What is not yet a whole tile: the bodies at the right, and at each level the hashes. */
export type Tiling = {
  size: number
  bodies: Buffer[]
  readonly levels: { full: number; hashes: Hash[] }[]
}

export function beginTiles(): Tiling {
  return { size: 0, bodies: [], levels: [] }
}

/** Takes one entry in, and returns the tiles that it completes. */
export function addToTiles(tiling: Tiling, body: Buffer): readonly Tile[] {
  const tiles: Tile[] = []
  tiling.bodies.push(body)
  tiling.size += 1
  if (tiling.bodies.length === WIDTH) {
    const index = tiling.size / WIDTH - 1
    tiles.push({ path: pathOf('entries', index), bytes: bundle(tiling.bodies) })
    tiling.bodies = []
  }
  let hash: Hash | null = leafHash(body)
  for (let at = 0; hash !== null; at += 1) {
    const level = (tiling.levels[at] ??= { full: 0, hashes: [] })
    level.hashes.push(hash)
    hash = null
    if (level.hashes.length === WIDTH) {
      tiles.push({ path: pathOf(at, level.full), bytes: Buffer.concat(level.hashes) })
      // A whole tile is one leaf of the level above.
      hash = rootOf(level.hashes.reduce(extend, EMPTY_RANGE))
      level.full += 1
      level.hashes = []
    }
  }
  return tiles
}

/** The tiles at the right edge, which are not whole: their paths say how wide they are. */
export function partialTiles({ size, bodies, levels }: Tiling): readonly Tile[] {
  const hashes = levels.flatMap(({ full, hashes }, level) =>
    hashes.length === 0
      ? []
      : [{ path: pathOf(level, full, hashes.length), bytes: Buffer.concat(hashes) }],
  )
  if (bodies.length === 0) return hashes
  const path = pathOf('entries', Math.floor(size / WIDTH), bodies.length)
  return [{ path, bytes: bundle(bodies) }, ...hashes]
}

/** Each entry after its length in two bytes; no body is longer than they can say. */
function bundle(bodies: readonly Buffer[]): Buffer {
  return Buffer.concat(
    bodies.flatMap((body) => {
      const length = Buffer.alloc(2)
      length.writeUInt16BE(body.length)
      return [length, body]
    }),
  )
}

/** `tile/0/x001/x234/067.p/8`: groups of three digits, all but the last with an x. */
function pathOf(level: number | 'entries', index: number, width = WIDTH): string {
  const groups = [String(index % 1000).padStart(3, '0')]
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    groups.unshift(`x${String(rest % 1000).padStart(3, '0')}`)
  }
  return `tile/${level}/${groups.join('/')}${width === WIDTH ? '' : `.p/${width}`}`
}
