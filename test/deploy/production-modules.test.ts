import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { existsSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  copyProductionPackages,
  productionPackages,
  type Lock,
} from '../../deploy/production-modules.ts'

const ROOT = new URL('../../', import.meta.url).pathname

test('production has what the program needs and what that needs, and nothing else', () => {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as Lock

  const folders = productionPackages(lock).map(({ folder }) => folder)

  expect(new Set(folders)).toEqual(needed())
  expect(folders.length).toBeLessThanOrEqual(40)
})

test('a package that development alone needs stays behind, and so do packages inside another', async () => {
  await using project = await projectOf({
    'node_modules/kept': { version: '1.0.0' },
    'node_modules/kept/node_modules/inner': { version: '2.0.0', dev: true },
    'node_modules/tool': { version: '1.0.0', dev: true },
    'node_modules/shared': { version: '1.0.0', devOptional: true },
  })

  const copied = await copyProductionPackages(project.folder, project.target)

  expect(copied).toEqual(['node_modules/kept', 'node_modules/shared'])
  expect(existsSync(join(project.target, 'node_modules/kept/package.json'))).toBe(true)
  expect(existsSync(join(project.target, 'node_modules/kept/node_modules'))).toBe(false)
})

test('a package of another version than the lock file says is refused', async () => {
  await using project = await projectOf({ 'node_modules/kept': { version: '1.0.0' } })
  await writeFile(join(project.folder, 'node_modules/kept/package.json'), '{"version":"1.0.1"}')

  await expect(copyProductionPackages(project.folder, project.target)).rejects.toThrow(
    'node_modules/kept has version 1.0.1, the lock file says 1.0.0',
  )
})

test('a package may be missing only if it is optional', async () => {
  await using project = await projectOf({
    'node_modules/other-system': { version: '1.0.0', optional: true },
    'node_modules/kept': { version: '1.0.0' },
  })
  await rm(join(project.folder, 'node_modules/other-system'), { recursive: true })
  const copied = await copyProductionPackages(project.folder, project.target)
  await rm(join(project.folder, 'node_modules/kept'), { recursive: true })

  expect(copied).toEqual(['node_modules/kept'])
  await expect(copyProductionPackages(project.folder, project.target)).rejects.toThrow(
    'node_modules/kept has version none',
  )
})

/** Follows the dependencies from package.json through the installed packages: no lock file asked. */
function needed(): Set<string> {
  const found = new Set<string>()
  const open = [ROOT]
  for (let folder = open.pop(); folder !== undefined; folder = open.pop()) {
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(
      readFileSync(join(folder, 'package.json'), 'utf8'),
    ) as Partial<Record<'dependencies' | 'optionalDependencies', Record<string, string>>>
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const nested = join(folder, 'node_modules', name)
      const place = existsSync(nested) ? nested : join(ROOT, 'node_modules', name)
      const relative = place.slice(ROOT.length)
      if (found.has(relative)) continue
      found.add(relative)
      open.push(place)
    }
  }
  return found
}

type Project = AsyncDisposable & { readonly folder: string; readonly target: string }

async function projectOf(packages: Lock['packages']): Promise<Project> {
  const folder = await mkdtemp(join(tmpdir(), 'retentiond-modules-'))
  await writeFile(
    join(folder, 'package-lock.json'),
    JSON.stringify({ lockfileVersion: 3, packages: { '': {}, ...packages } }),
  )
  for (const [place, { version }] of Object.entries(packages)) {
    await mkdir(join(folder, place), { recursive: true })
    await writeFile(join(folder, place, 'package.json'), JSON.stringify({ version }))
  }
  return {
    folder,
    target: join(folder, 'target'),
    [Symbol.asyncDispose]: async () => rm(folder, { recursive: true }),
  }
}
