import { readFile } from 'node:fs/promises'
import { parsePlanFile } from '../plan/file.ts'
import type { Plan } from '../plan/plan.ts'
import { fileError } from './context.ts'

/** Reads a plan file that a person names. */
export async function readPlan(file: string): Promise<Plan> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw fileError(file, 'read', error)
  })
  return parsePlanFile(file, text)
}
