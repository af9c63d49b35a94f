import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { readPseudonymKey } from '../../src/cli/pseudonym-file.ts'

const SECRET = '5a'.repeat(32)

function keyFile(text: string, mode = 0o600): string {
  const path = join(mkdtempSync(join(tmpdir(), 'pseudonym-')), 'pseudonym.key')
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

test('a pseudonym key is 64 hexadecimal digits in a file of its owner alone', async () => {
  const key = await readPseudonymKey(keyFile(`${SECRET}\n`))
  const other = await readPseudonymKey(keyFile('5b'.repeat(32)))

  expect(key.id).toMatch(/^[0-9a-f]{16}$/)
  expect(other.id).not.toBe(key.id)
})

test('a pseudonym key prints its id and nothing else', async () => {
  const key = await readPseudonymKey(keyFile(SECRET))

  expect(JSON.stringify(key)).toBe(`{"id":"${key.id}"}`)
  expect(inspect(key, { showHidden: true, depth: 9 })).toBe(`PseudonymKey { id: '${key.id}' }`)
})

test.for([
  ['its group may read it', SECRET, 0o640, 'can be read by its group or by others'],
  ['it is too short', '5a', 0o600, 'does not hold 64 hexadecimal digits'],
  ['it is no number', 'x'.repeat(64), 0o600, 'does not hold 64 hexadecimal digits'],
] as const)('a pseudonym key file is refused if %s', async ([, text, mode, said]) => {
  await expect(readPseudonymKey(keyFile(text, mode))).rejects.toThrow(said)
})

test('a pseudonym key file that is a folder, or is not there, is refused', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pseudonym-'))
  chmodSync(folder, 0o700)

  await expect(readPseudonymKey(folder)).rejects.toThrow('is no plain file')
  await expect(readPseudonymKey(join(folder, 'none'))).rejects.toThrow('cannot be read (ENOENT)')
})
