import type { FittedMask } from '../catalog/fitted.ts'

/** Names what an anonymisation does, as `column:strategy`: never the text it writes. */
export function maskNames(masks: readonly FittedMask[]): readonly string[] {
  return masks.map(({ column, written }) => `${column.name}:${written.kind}`)
}
