/**
 * `retentiond/verify`: what an auditor's own program needs to check a journal, with no database and
 * no package. A public face, so it lists what may not change without a word in the changelog.
 */
export { openCheckpoint, parseCheckpoint, type Checkpoint } from './checkpoint.ts'
export { parseEntry, type Entry, type ReadEntry } from './entry.ts'
export {
  checkConsistency,
  checkInclusion,
  leafHash,
  parseTreeHead,
  printTreeHead,
  type TreeHead,
} from './merkle.ts'
export { openNote, parseVerifierKey, type VerifierKey } from './note.ts'
export { openExport, type ExportReader } from './read-export.ts'
export { checkSignature } from './signature.ts'
export type { JournalReader, StoredEntry } from './reader.ts'
export {
  verify,
  type Finding,
  type Remark,
  type Verdict,
  type VerifyOptions,
  type VerifyReport,
} from './verify.ts'
export { verifyExport } from './verify-export.ts'
export { verifyHeads, type HeadsOptions, type KeptNote } from './verify-heads.ts'
export { checkProof, parseProof, type CheckedProof, type Proof } from './proof.ts'
export { parseTrust, type Trust } from './trust.ts'
