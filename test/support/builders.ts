import { PseudonymKey } from '../../src/policy/pseudonym-key.ts'

/** The key that every test pseudonymises under, but those that are about another one. */
export function pseudonymKey(byte = 7): PseudonymKey {
  return new PseudonymKey(new Uint8Array(32).fill(byte))
}
