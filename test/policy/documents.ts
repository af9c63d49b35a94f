import type { PolicySet, Rule } from '../../src/policy/policy.ts'
import { parsePolicies } from '../../src/policy/parse.ts'
import { renderProblems } from '../../src/policy/render.ts'

/** A policy file around the given YAML of its rules. */
export function policyYaml(rules: string): string {
  return `version: 1\npolicy: crm\nowner: DPO\ntimezone: Europe/Paris\nrules:\n${rules}`
}

/** Parses one file that has no problem. */
export function parsed(text: string): PolicySet {
  const { value, problems } = parsePolicies([{ file: 'crm.yaml', text }])
  if (value === undefined) throw new Error(renderProblems(problems))
  return value
}

/** The only rule of a file that differs from a plain one by `yaml`. */
export function ruleWith(yaml: string): Rule {
  const plain = '  - id: site\n    table: site.connection\n    start: recorded_at\n'
  const rest = yaml.includes('then:') ? '' : '    then: purge\n'
  const [rule] = parsed(policyYaml(`${plain}    keep: 12 months\n${rest}${yaml}`)).rules
  if (rule === undefined) throw new Error('no rule')
  return rule
}
