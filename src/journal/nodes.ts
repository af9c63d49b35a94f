/** The tree's hashes as PostgreSQL keeps them: a root or a proof costs a few rows, however long the journal. */
import { sql, type Kysely } from 'kysely'
import { JournalCorruptError } from '../base/errors.ts'
import type { OwnTables } from '../db/schema.ts'
import { nodeHash, rangeAt, rootOf, type Hash, type Node, type TreeHead } from './merkle.ts'
import { readHead } from './read.ts'

type Db = Kysely<OwnTables>

/**
 * Reads nodes of the tree. It verifies nothing: who makes a proof of them checks the proof, and
 * `verify` computes every hash again. A node that is not stored is made of the two below.
 */
export async function readNodes(db: Db, nodes: readonly Node[]): Promise<readonly Hash[]> {
  const { rows } = await sql<{ hash: Buffer | null }>`
    select case when asked.level = 0 then leaf.leaf_hash else node.hash end as hash
    from unnest(
      ${nodes.map(({ level }) => level)}::smallint[],
      ${nodes.map(({ index }) => index)}::bigint[]
    ) with ordinality as asked (level, index, place)
    left join retentiond.leaf on asked.level = 0 and leaf.seq = asked.index
    left join retentiond.node on node.level = asked.level and node.index = asked.index
    order by asked.place`.execute(db)
  const found: Hash[] = []
  for (const [place, { hash }] of rows.entries()) {
    found.push(hash ?? (await fromBelow(db, nodes[place])))
  }
  return found
}

async function fromBelow(db: Db, node: Node | undefined): Promise<Hash> {
  if (node === undefined || node.level === 0) {
    throw new JournalCorruptError(`entry ${node?.index ?? 0} of the journal is missing`, {
      remedy: 'run: retentiond journal verify',
    })
  }
  const level = node.level - 1
  const [left, right] = await readNodes(db, [
    { level, index: node.index * 2 },
    { level, index: node.index * 2 + 1 },
  ])
  return nodeHash(left as Hash, right as Hash)
}

/** Size and root of the journal as stored, for an outside party to keep. It verifies nothing. */
export async function treeHead(db: Db): Promise<TreeHead> {
  const head = await readHead(db)
  return rootAt(db, head?.size ?? 0)
}

/** The root that the first `size` entries have, as stored. */
export async function rootAt(db: Db, size: number): Promise<TreeHead> {
  const range = await rangeAt(async (nodes) => readNodes(db, nodes), size)
  return { size, root: rootOf(range) }
}
