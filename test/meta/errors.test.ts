import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { EXIT } from '../../src/base/errors.ts'
import { ROOT, sources } from './sources.ts'

const DOCUMENT = readFileSync(join(ROOT, 'docs/errors.md'), 'utf8')

/** The codes of every error class of src, each with the statuses it may end with. */
function errorClasses(): readonly { readonly code: string; readonly exit: string }[] {
  return sources('src/**/*.ts').flatMap(({ text }) =>
    [...text.matchAll(/class \w+ extends (?:RetentionError|\w+Error) \{([\s\S]*?)\n\}/g)].flatMap(
      ([, body = '']) => {
        const [, codes = ''] = /readonly code(?: =|:) ([^\n]+)/.exec(body) ?? []
        const [, exit = ''] = /readonly exit = EXIT\.(\w+)/.exec(body) ?? []
        return [...codes.matchAll(/'([A-Z_]+)'/g)].map(([, code = '']) => ({ code, exit }))
      },
    ),
  )
}

const byCode = (one: { code: string }, other: { code: string }) => (one.code < other.code ? -1 : 1)

test('every error code is documented with its exit status, and no other', () => {
  const documented = [...DOCUMENT.matchAll(/^\| `([A-Z_]+)` +\| (\d+) /gm)].map(
    ([, code = '', status]) => ({ code, status: Number(status) }),
  )
  const statuses: Readonly<Record<string, number>> = EXIT

  expect(documented.toSorted(byCode)).toEqual(
    errorClasses()
      .map(({ code, exit }) => ({ code, status: statuses[exit] }))
      .toSorted(byCode),
  )
})

test('every exit status is documented under its name, and no other', () => {
  const documented = [...DOCUMENT.matchAll(/^\| (\d+) +\| `(\w+)` /gm)].map(
    ([, status, name = '']) => [name, Number(status)],
  )

  expect(Object.fromEntries(documented)).toEqual(EXIT)
})

test('the exit statuses of the README are those of the program', () => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')
  const documented = [...readme.matchAll(/^\| (\d+) +\| /gm)].map(([, status]) => Number(status))

  expect(documented).toEqual(Object.values(EXIT))
})
