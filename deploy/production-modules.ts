/**
 * Copies the packages of production out of a node_modules that also holds those of development:
 * what `npm ci --omit=dev` would install, without npm and without a registry.
 *
 *   node deploy/production-modules.ts <project> <target>
 */
import { cp, readFile } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'

/** What we read of a package-lock.json, version 3. */
export type Lock = {
  readonly lockfileVersion: number
  readonly packages: Readonly<Record<string, LockedPackage>>
}

type LockedPackage = {
  readonly version?: string
  /** Only development needs it. */
  readonly dev?: boolean
  /** Development needs it, and so does an optional dependency of production. */
  readonly devOptional?: boolean
  /** It may be missing, as where it does not fit the system. */
  readonly optional?: boolean
}

export type ProductionPackage = {
  /** As `node_modules/pg`. */
  readonly folder: string
  readonly version: string
  readonly optional: boolean
}

/** Lists the packages that a production install has, in the order of their folders. */
export function productionPackages({
  lockfileVersion,
  packages,
}: Lock): readonly ProductionPackage[] {
  if (lockfileVersion !== 3) throw new Error(`the lock file has version ${lockfileVersion}, not 3`)
  return Object.entries(packages)
    .filter(([folder, { dev = false }]) => folder !== '' && !dev)
    .map(([folder, { version = '', optional = false, devOptional = false }]) => ({
      folder,
      version,
      optional: optional || devOptional,
    }))
}

/**
 * Copies the packages of production and returns their folders. Refuses a package that is missing or
 * has another version than the lock file says: the image would not be what the lock file promises.
 */
export async function copyProductionPackages(
  project: string,
  target: string,
): Promise<readonly string[]> {
  const lock = JSON.parse(await readFile(join(project, 'package-lock.json'), 'utf8')) as Lock
  const copied: string[] = []
  for (const wanted of productionPackages(lock)) {
    const source = join(project, wanted.folder)
    const version = await installedVersion(source)
    if (version === null && wanted.optional) continue
    if (version !== wanted.version) {
      throw new Error(
        `${wanted.folder} has version ${version ?? 'none'}, the lock file says ${wanted.version}: run npm ci`,
      )
    }
    await cp(source, join(target, wanted.folder), {
      recursive: true,
      // Packages inside a package have entries of their own in the lock file.
      filter: (path) => !relative(source, path).split('/').includes('node_modules'),
    })
    copied.push(wanted.folder)
  }
  return copied
}

async function installedVersion(folder: string): Promise<string | null> {
  try {
    const text = await readFile(join(folder, 'package.json'), 'utf8')
    return (JSON.parse(text) as { readonly version: string }).version
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

if (import.meta.main) {
  const [project, target] = process.argv.slice(2)
  if (project === undefined || target === undefined) {
    throw new Error('usage: node deploy/production-modules.ts <project> <target>')
  }
  const copied = await copyProductionPackages(resolve(project), resolve(target))
  process.stderr.write(`${copied.length} packages of production copied\n`)
}
