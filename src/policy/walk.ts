/** The ways through a table, as policies and plans name them. */

/**
 * `heap` reads every page once, in their order; `index` finds what is due by the index on the period
 * start; `key` goes in the order of the key.
 */
export const WALKS = ['heap', 'index', 'key'] as const
export type WalkKind = (typeof WALKS)[number]
