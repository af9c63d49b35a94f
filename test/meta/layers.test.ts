import { basename } from 'node:path'
import { expect, test } from 'vitest'
import { imports, reach, sources } from './sources.ts'

/** Each folder of src, and the folders it may import from. Lower folders never look up. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  base: [],
  db: ['base'],
  policy: ['base'],
  journal: ['base', 'db'],
  anchor: ['base', 'db', 'journal'],
  catalog: ['base', 'db', 'policy'],
  hold: ['base', 'db', 'policy', 'journal', 'catalog'],
  draft: ['base', 'policy', 'catalog'],
  plan: ['base', 'db', 'policy', 'catalog', 'hold'],
  enforce: ['base', 'db', 'policy', 'journal', 'catalog', 'hold', 'plan'],
  daemon: ['base', 'db', 'policy', 'journal', 'anchor', 'catalog', 'hold', 'plan', 'enforce'],
  cli: [
    'base',
    'db',
    'policy',
    'journal',
    'anchor',
    'catalog',
    'hold',
    'plan',
    'enforce',
    'daemon',
    'draft',
  ],
}

const SRC = sources('src/**/*.ts')
const BY_PATH = new Map(SRC.map((source) => [source.path, source]))

const folderOf = (path: string) => path.split('/')[1] ?? ''

test('every folder of src has its place among the layers', () => {
  const folders = new Set(
    SRC.map(({ path }) => folderOf(path)).filter((name) => name !== 'main.ts'),
  )

  expect([...folders].toSorted()).toEqual(Object.keys(MAY_IMPORT).toSorted())
})

test.for(Object.keys(MAY_IMPORT))('%s imports only from the folders below it', (folder) => {
  const allowed = new Set([folder, ...(MAY_IMPORT[folder] ?? [])])

  const offending = SRC.filter(({ path }) => folderOf(path) === folder).flatMap((source) =>
    imports(source)
      .filter((target) => target.startsWith('src/') && !allowed.has(folderOf(target)))
      .map((target) => `${source.path} imports ${target}`),
  )

  expect(offending).toEqual([])
})

/** Files that only compute, by folder; the rest of the folder reads files or a database. */
const PURE: Readonly<Record<string, readonly string[]>> = {
  base: ['canonical.ts', 'errors.ts', 'log.ts', 'names.ts', 'nearest.ts', 'problem.ts'],
  journal: [
    'certificate-html.ts',
    'certificate-json.ts',
    'certificate-style.ts',
    'certificate-text.ts',
    'certificate.ts',
    'checkpoint.ts',
    'entry.ts',
    'evidence.ts',
    'export-readme.ts',
    'export-summary.ts',
    'follow.ts',
    'html.ts',
    'memory.ts',
    'merkle.ts',
    'note.ts',
    'proof.ts',
    'prove.ts',
    'render.ts',
    'resurrected.ts',
    'render-proof.ts',
    'shape.ts',
    'signature.ts',
    'tiles.ts',
    'totals.ts',
    'trust.ts',
    'verify-content.ts',
    'verify-evidence.ts',
    'verify-heads.ts',
    'verify.ts',
    'wire.ts',
  ],
  catalog: ['catalog.ts', 'fingerprint.ts', 'fitted.ts', 'needs.ts'],
  plan: [
    'build.ts',
    'explain-text.ts',
    'file.ts',
    'plan.ts',
    'remarks.ts',
    'render.ts',
    'stale.ts',
    'walk.ts',
  ],
}

const OUTSIDE_WORLD =
  /^(pg|kysely(\/.*)?|pino|hono(\/.*)?|@hono\/.*|node:(fs|net|http|https|child_process|os)(\/.*)?)$/

function isPure(path: string): boolean {
  const folder = folderOf(path)
  const name = basename(path)
  if (folder === 'policy') return name !== 'load.ts'
  if (folder === 'catalog' && name.startsWith('fit')) return true
  return PURE[folder]?.includes(name) ?? false
}

test('what decides does no input or output of its own', () => {
  const listed = Object.entries(PURE).flatMap(([folder, names]) =>
    names.map((name) => `src/${folder}/${name}`),
  )
  const offending = SRC.filter(({ path }) => isPure(path)).flatMap((source) =>
    imports(source)
      .filter((target) => OUTSIDE_WORLD.test(target))
      .map((target) => `${source.path} imports ${target}`),
  )

  expect(listed.filter((path) => !BY_PATH.has(path))).toEqual([])
  expect(offending).toEqual([])
})

test('a verifier of the journal can be built without the database and without a package', () => {
  const offending = SRC.filter(({ path }) => folderOf(path) === 'journal' && isPure(path)).flatMap(
    ({ path }) =>
      [...reach(path, BY_PATH)]
        .filter(
          (target) => OUTSIDE_WORLD.test(target) || !/^src\/(base|journal)\/|^node:/.test(target),
        )
        .map((target) => `${path} needs ${target}`),
  )

  expect(offending).toEqual([])
})

/** Lines of src that match, without those of the files that may. */
function linesWith(pattern: RegExp, except: readonly string[]): readonly string[] {
  return SRC.filter(({ path }) => !except.includes(path)).flatMap(({ path, text }) =>
    text.split('\n').flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}`] : [])),
  )
}

test('nobody but the clock asks what time it is', () => {
  const asks =
    /\bDate\.now\b|new Date\(\)|performance\.now|\bhrtime\b|DateTime\.(now|utc|local)\(\)/

  expect(linesWith(asks, ['src/base/clock.ts'])).toEqual([])
})

test('no text is made into SQL but that of a migration', () => {
  expect(linesWith(/\bsql\.(raw|lit)\b/, ['src/db/migrate.ts'])).toEqual([])
})

test('only main reads the arguments, the environment and the signals', () => {
  expect(linesWith(/process\.(argv|env|on|once|exit|exitCode)\b/, ['src/main.ts'])).toEqual([])
})

test('no file of src is longer than 400 lines', () => {
  const long = SRC.filter(({ text }) => text.split('\n').length > 401)

  expect(long.map(({ path }) => path)).toEqual([])
})
