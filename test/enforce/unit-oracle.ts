/** What goes with what, worked out over plain sets: an oracle that shares nothing with the program. */

/** A row, by its table's letter and number: `c7` is customer 7. */
export type Node = `${'c' | 't' | 'n' | 'm'}${number}`

export type World = {
  readonly nodes: readonly Node[]
  /** From a row to the row that it refers to, by links under which rows go along. */
  readonly links: readonly (readonly [Node, Node])[]
  readonly due: ReadonlySet<Node>
}

/** Every row that goes. */
export function goingIn(world: World): ReadonlySet<Node> {
  const going = new Set<Node>()
  for (const record of world.nodes.filter(isRecord)) {
    const unit = unitOf(world, record)
    const records = [...unit].filter(isRecord)
    const reached = downFrom(world, records)
    const isWhole = [...unit].every((node) => reached.has(node))
    if (isWhole && records.every((each) => world.due.has(each))) {
      for (const node of unit) going.add(node)
    }
  }
  return going
}

function isRecord(node: Node): boolean {
  return node.startsWith('c')
}

/** Grows until nothing is missing: what refers to a row of it, and what rows that go along refer to. */
function unitOf({ links }: World, record: Node): ReadonlySet<Node> {
  const unit = new Set<Node>([record])
  for (let size = 0; size < unit.size;) {
    size = unit.size
    for (const [from, to] of links) {
      if (unit.has(to)) unit.add(from)
      if (unit.has(from) && !isRecord(from)) unit.add(to)
    }
  }
  return unit
}

function downFrom({ links }: World, records: readonly Node[]): ReadonlySet<Node> {
  const reached = new Set(records)
  for (let size = 0; size < reached.size;) {
    size = reached.size
    for (const [from, to] of links) if (reached.has(to)) reached.add(from)
  }
  return reached
}
