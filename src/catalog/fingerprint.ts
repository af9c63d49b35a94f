import { digestOf } from '../base/canonical.ts'
import type { Table } from './catalog.ts'

/**
 * SHA-256 over the shape of the tables: a plan and a batch rest on it. Rights are left out, since
 * they do not change what a statement means; a missing one fails by itself.
 */
export function fingerprint(tables: readonly Table[]): string {
  const shapes = tables
    .map(({ privileges: _privileges, partitions: _partitions, leaves: _leaves, ...shape }) => shape)
    .toSorted((one, other) => one.oid - other.oid)
  return digestOf(shapes)
}
