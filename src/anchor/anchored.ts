import { AnchorLagError } from '../base/errors.ts'
import {
  openCheckpointer,
  type Checkpointer,
  type CheckpointTools,
  type Publish,
} from '../journal/checkpointer.ts'
import type { Anchoring } from './anchoring.ts'

/** Opens a checkpointer whose heads go to the sinks; `publish` is told of each new one first. */
export function openAnchored(
  tools: CheckpointTools,
  anchoring: Anchoring,
  publish: Publish,
): Checkpointer {
  const inner = openCheckpointer(tools, publish)
  const sign = async () => {
    const head = await inner.sign()
    await anchoring.publish(head)
    return head
  }
  return {
    sign,
    deliver: async () => anchoring.retry(),
    requireAnchored: async () => {
      try {
        await anchoring.requireAnchored()
      } catch (error) {
        if (!(error instanceof AnchorLagError)) throw error
        // The sinks may be there again, and nothing was new to bring them, or it was not yet time.
        anchoring.hurry()
        await sign()
        await anchoring.requireAnchored()
      }
    },
  }
}
