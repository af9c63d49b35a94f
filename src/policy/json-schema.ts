import { z } from 'zod'
import { PolicyDocument } from './document.ts'

/**
 * Makes the JSON Schema of a policy file from the schema that parses it. Draft 7, because that is the
 * newest one that yaml-language-server reads. Editors complete and check by it; what an editor
 * accepts may still be refused (a day that doesn't exist, a cycle of rules).
 */
export function policyJsonSchema(): object {
  const schema = z.toJSONSchema(PolicyDocument, {
    target: 'draft-7',
    io: 'input',
    override: ({ zodSchema, jsonSchema }) => {
      if (!(zodSchema instanceof z.ZodObject) || jsonSchema.properties === undefined) return
      // A field read by a function of ours counts as optional input for zod; it isn't for us.
      const shape: z.core.$ZodShape = zodSchema.shape
      const required = Object.keys(shape).filter((key) => !(shape[key] instanceof z.ZodOptional))
      if (required.length > 0) jsonSchema.required = required
    },
  })
  return {
    $id: 'urn:retentiond:policy:1',
    title: 'Retention policy',
    description: 'Rules of retentiond: what is kept for how long, and what becomes of it then.',
    ...schema,
  }
}
