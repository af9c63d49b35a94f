import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateKeyPairSync } from 'node:crypto'
import { expect, onTestFinished, test } from 'vitest'
import { ConfigError } from '../../src/base/errors.ts'
import { generateKeyFile, readKeyFile } from '../../src/journal/key-file.ts'
import { ORIGIN } from './builders.ts'

async function newPath(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'retentiond-key-'))
  onTestFinished(async () => rm(folder, { recursive: true }))
  return join(folder, 'entry.pem')
}

async function refusalOf(work: Promise<unknown>): Promise<ConfigError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof ConfigError)) throw new Error('expected a ConfigError', { cause: error })
  return error
}

test('a generated key file is for its owner only, and signs', async () => {
  const path = await newPath()

  await generateKeyFile(path)

  expect((await stat(path)).mode & 0o777).toBe(0o600)
  const signer = await readKeyFile(path)
  expect(signer.sign(ORIGIN, Buffer.from('{}'))).toHaveLength(68)
})

test('a key file is never overwritten', async () => {
  const path = await newPath()
  await writeFile(path, 'something')

  const error = await refusalOf(generateKeyFile(path))

  expect(error.message).toBe(`entry key file ${path} is there already`)
  expect(await readFile(path, 'utf8')).toBe('something')
})

test.for([0o640, 0o604, 0o660, 0o622])('a key file with mode %o is refused', async (mode) => {
  const path = await newPath()
  await generateKeyFile(path)
  await chmod(path, mode)

  const error = await refusalOf(readKeyFile(path))

  expect(error.message).toContain(path)
  expect(error.remedy).toBe(`run: chmod 600 ${path}`)
})

test('a key file that is missing is named, with the command that makes one', async () => {
  const path = await newPath()

  const error = await refusalOf(readKeyFile(path))

  expect(error.message).toContain(`${path} does not exist`)
  expect(error.remedy).toContain(`run: retentiond keygen ${path}`)
})

test('a key file with another kind of key is refused', async () => {
  const path = await newPath()
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  await writeFile(path, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })

  const error = await refusalOf(readKeyFile(path))

  expect(error.message).toBe(`entry key file ${path} holds no Ed25519 key in PKCS#8 PEM`)
})
