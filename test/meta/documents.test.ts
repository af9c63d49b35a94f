import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { runInside } from '../cli/program.ts'
import { ROOT, sources } from './sources.ts'

const DOCUMENTS = [...sources('*.md'), ...sources('docs/**/*.md')]

type Shown = { readonly path: string; readonly words: readonly string[] }

/** The commands that documents show, in blocks of code and between backticks; prose is neither. */
function shownCommands(): readonly Shown[] {
  return DOCUMENTS.flatMap(({ path, text }) =>
    [...text.matchAll(/```\w*\n([\s\S]*?)```|`([^`\n]+)`/g)].flatMap(([, block, span]) =>
      (block ?? span ?? '').split('\n').flatMap((line) => {
        const [, rest] = /^\s*(?:npm run -s )?retentiond (?:-- )?([a-z][^#|>]*)/.exec(line) ?? []
        return rest === undefined ? [] : [{ path, words: rest.trim().split(/\s+/) }]
      }),
    ),
  )
}

/** `journal verify` of `journal verify --expect X`: the words before the first that is no name. */
async function helpFor(words: readonly string[]): Promise<string | null> {
  // Not past the first option: `schema -o --help` would write a file of that name.
  const names = words.findIndex((word) => !/^[a-z]+(-[a-z]+)*$/.test(word))
  for (let length = Math.min(2, names < 0 ? words.length : names); length > 0; length -= 1) {
    const command = words.slice(0, length)
    const { status, out } = await runInside([...command, '--help'], {})
    if (status === 0 && out.startsWith(`Usage: retentiond ${command.join(' ')} `)) return out
  }
  return null
}

/** `--out` is not an option because `--output` is one. */
function has(help: string, option: string): boolean {
  return new RegExp(`(^|[ ,])${option}(?=[ ,\\n])`, 'm').test(help)
}

test('every command and option that a document shows exists', async () => {
  const wrong: string[] = []
  const shown = shownCommands()
  for (const { path, words } of shown) {
    const help = await helpFor(words)
    const options = words.filter((word) => /^--?[a-z]/.test(word))
    if (help === null) wrong.push(`${path}: ${words.join(' ')}`)
    for (const option of options) {
      if (help !== null && !has(help, option)) wrong.push(`${path}: ${words.join(' ')}: ${option}`)
    }
  }

  expect(wrong).toEqual([])
  expect(shown.length).toBeGreaterThan(10)
})

test('every npm script that a document shows exists', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    readonly scripts: Readonly<Record<string, string>>
  }
  const shown = DOCUMENTS.flatMap(({ path, text }) =>
    [...text.matchAll(/npm run (?:-s )?([a-z:]+)/g)].map(([, name = '']) => ({ path, name })),
  )

  expect(shown.filter(({ name }) => !(name in scripts))).toEqual([])
})

test('every link between documents leads to a file and a heading', () => {
  const broken = DOCUMENTS.flatMap(({ path, text }) =>
    [...text.matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)].flatMap(
      ([, target = '', heading]) => {
        const file = target === '' ? path : join(dirname(path), target)
        if (!existsSync(join(ROOT, file))) return [`${path}: ${target}`]
        if (heading === undefined) return []
        return headings(readFileSync(join(ROOT, file), 'utf8')).has(heading)
          ? []
          : [`${path}: ${target}#${heading}`]
      },
    ),
  )

  expect(broken).toEqual([])
})

/** The anchors that Markdown makes of headings. */
function headings(text: string): ReadonlySet<string> {
  return new Set(
    [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
}

test('every environment variable that a document names is read by something here', () => {
  const code = [...sources('src/**/*.ts'), ...sources('*.yml'), ...sources('deploy/**/*.ts')]
    .map(({ text }) => text)
    .join('\n')
  const named = DOCUMENTS.flatMap(({ path, text }) =>
    [...text.matchAll(/\bRETENTIOND_[A-Z_]*[A-Z]\b/g)].map(([name]) => ({ path, name })),
  )

  expect(named.filter(({ name }) => !code.includes(name))).toEqual([])
})

test('each decision has a number of its own, and its record begins with it', () => {
  const records = sources('docs/decisions/*.md').map(({ path, text }) => ({
    name: path.split('/').at(-1)?.slice(0, 4),
    heading: /^# (\d{4})/.exec(text)?.[1],
  }))

  expect(records.filter(({ name, heading }) => heading !== undefined && heading !== name)).toEqual(
    [],
  )
  expect(new Set(records.map(({ name }) => name)).size).toBe(records.length)
})
