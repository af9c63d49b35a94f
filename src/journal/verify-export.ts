/** The checks of every journal, and those of what an export says beside its entries. */
import { createHash } from 'node:crypto'
import type { ExportReader } from './read-export.ts'
import { verifyHeads, type HeadsOptions } from './verify-heads.ts'
import { withFindings, type Finding, type VerifyReport } from './verify.ts'

/**
 * Verifies an export as any journal. Its own head and checkpoints must be those of its entries, and
 * its files those of its manifest; none of them shows that nothing was cut off.
 */
export async function verifyExport(
  reader: ExportReader,
  options: HeadsOptions,
): Promise<VerifyReport> {
  const head = { ...(await reader.head()), where: 'head.txt' }
  const report = await verifyHeads(reader, options, [head])
  const altered: Finding[] = []
  for await (const name of reader.altered()) {
    const message = `${name} is not what the manifest says`
    altered.push({ code: 'MANIFEST', seq: 0, message })
  }
  for await (const { name, text } of reader.policies()) {
    if (`${createHash('sha256').update(text).digest('hex')}.json` === name) continue
    const message = `policies/${name} is not the text of the rule that it is named after`
    altered.push({ code: 'POLICY', seq: 0, message })
  }
  return withFindings(report, altered)
}
