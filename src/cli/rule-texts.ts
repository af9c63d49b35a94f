import { valueOf } from '../plan/prepare.ts'
import { ruleText } from '../policy/digest.ts'
import { loadPolicies } from '../policy/load.ts'

/** The text of every rule in these folders, by its digest. */
export async function rulesIn(folders: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const texts = new Map<string, string>()
  for (const folder of folders) {
    const { rules } = valueOf(await loadPolicies(folder))
    for (const rule of rules) texts.set(rule.digest, ruleText(rule))
  }
  return texts
}
