/** Mappings whose keys are names that a person chose. */
import { below, refuse } from './fault.ts'
import type { Fault, Read } from './fault.ts'

/** Reads a mapping whose keys are names; at least one entry. */
export function readEntries<K, V, T>(
  raw: Readonly<Record<string, unknown>>,
  readKey: (key: unknown) => Read<K>,
  readValue: (value: unknown) => Read<V>,
  entry: (key: K, value: V) => T,
): Read<readonly T[]> {
  const values: T[] = []
  const faults: Fault[] = []
  for (const [key, item] of Object.entries(raw)) {
    const name = readKey(key)
    const value = readValue(item)
    for (const fault of name.faults ?? []) faults.push({ ...fault, path: [key], on: 'key' })
    faults.push(...below([key], value.faults ?? []))
    if (name.value !== undefined && value.value !== undefined) {
      values.push(entry(name.value, value.value))
    }
  }
  if (faults.length > 0) return { faults }
  return values.length > 0 ? { value: values } : refuse('empty_value', 'this mapping is empty')
}
