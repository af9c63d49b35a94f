import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test as base, expect } from 'vitest'
import { loadPolicies } from '../../src/policy/load.ts'
import { policyYaml } from './documents.ts'

const valid = policyYaml('  - { id: a, table: t.a, start: at, keep: 1 year, then: purge }\n')

const test = base.extend<{ folder: string }>({
  // oxlint-disable-next-line no-empty-pattern -- vitest reads from the pattern what a fixture needs
  folder: async ({}, use) => {
    const folder = await mkdtemp(join(tmpdir(), 'policies-'))
    await use(folder)
    await rm(folder, { recursive: true })
  },
})

async function codesIn(folder: string, within = folder): Promise<readonly string[]> {
  const { problems = [] } = await loadPolicies(folder)
  return problems.map(({ code, at }) => `${at.replace(`${within}/`, '')} ${code}`)
}

test('the policies of a folder are its YAML files, and nothing below or beside them', async ({
  folder,
}) => {
  await writeFile(join(folder, 'b.YML'), valid)
  await writeFile(join(folder, 'policy.schema.json'), '{}')
  await writeFile(join(folder, '.#b.yaml'), 'the lock of an editor')
  await mkdir(join(folder, 'old'))
  await writeFile(join(folder, 'old', 'c.yaml'), 'version: 0')

  const { value } = await loadPolicies(folder)

  expect(value?.policies.map(({ file }) => file)).toEqual([join(folder, 'b.YML')])
})

test('every example of the repository parses', async () => {
  const { problems } = await loadPolicies(join(import.meta.dirname, '../../policies'))

  expect(problems).toBeUndefined()
})

test('a folder that is missing, empty or a file is a problem', async ({ folder }) => {
  const file = join(folder, 'file')
  await writeFile(file, valid)

  expect(await codesIn(folder)).toEqual([`${folder} policies_missing`])
  expect(await codesIn(join(folder, 'missing'), folder)).toEqual(['missing policies_unreadable'])
  expect(await codesIn(file, folder)).toEqual(['file policies_unreadable'])
})

test('what is not a regular file is refused without waiting for it', async ({ folder }) => {
  await mkdir(join(folder, 'folder.yaml'))
  execFileSync('mkfifo', [join(folder, 'pipe.yaml')])
  await symlink('/dev/zero', join(folder, 'zero.yaml'))
  await symlink('missing.yaml', join(folder, 'dangling.yaml'))

  expect(await codesIn(folder)).toEqual([
    'dangling.yaml file_unreadable',
    'folder.yaml file_not_regular',
    'pipe.yaml file_not_regular',
    'zero.yaml file_outside_folder',
  ])
})

test('a link may lead within the folder, as in a mounted ConfigMap, and not out of it', async ({
  folder,
}) => {
  await mkdir(join(folder, 'mounted'))
  await mkdir(join(folder, 'mounted', '..2026'))
  await writeFile(join(folder, 'mounted', '..2026', 'a.yaml'), valid)
  await symlink('..2026', join(folder, 'mounted', '..data'))
  await symlink('..data/a.yaml', join(folder, 'mounted', 'a.yaml'))
  const inside = await loadPolicies(join(folder, 'mounted'))

  await writeFile(join(folder, 'secret.yaml'), valid)
  await symlink('../secret.yaml', join(folder, 'mounted', 'b.yaml'))

  expect(inside.value?.rules).toHaveLength(1)
  expect(await codesIn(join(folder, 'mounted'))).toEqual(['b.yaml file_outside_folder'])
})

test('a file that is too large or not UTF-8 is refused', async ({ folder }) => {
  await writeFile(join(folder, 'large.yaml'), `${valid}#${'x'.repeat(1024 * 1024)}`)
  await writeFile(join(folder, 'latin.yaml'), Buffer.from([0x61, 0xe9, 0x0a]))
  await writeFile(join(folder, 'utf16.yaml'), Buffer.from(`\ufeff${valid}`, 'utf16le'))
  await writeFile(join(folder, 'nul.yaml'), `version: 1\0\n`)

  expect(await codesIn(folder)).toEqual([
    'large.yaml file_too_large',
    'latin.yaml not_text',
    'utf16.yaml not_text',
    'nul.yaml:1:11 control_character',
  ])
})

test('a byte order mark and Windows line ends are accepted', async ({ folder }) => {
  await writeFile(join(folder, 'a.yaml'), `\ufeff${valid.replaceAll('\n', '\r\n')}`)

  expect((await loadPolicies(folder)).value?.rules).toHaveLength(1)
})
