import { execFile } from 'node:child_process'
import { chmod, mkdir, readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { execSink } from '../../src/anchor/exec-sink.ts'
import { fileSink } from '../../src/anchor/file-sink.ts'
import { s3Sink } from '../../src/anchor/s3-sink.ts'
import { openS3Server, S3_KEY } from '../support/s3-server.ts'
import { fixedClock } from '../journal/builders.ts'
import { entriesOf, signed, sourceOf, temporaryFolder } from './journal.ts'

const ENTRIES = entriesOf(7)
const JOURNAL = sourceOf(ENTRIES)
const FORK = entriesOf(7, 99)

const fileAt = (folder: string) =>
  fileSink({ name: 'worm', required: true, folder, evidence: false })

test('a folder has each checkpoint, and every entry once, as the bytes that were signed', async () => {
  const folder = await temporaryFolder()
  const sink = fileAt(folder)
  expect(await sink.newest?.()).toBeNull()

  await sink.accept(signed(ENTRIES, 4), 0, JOURNAL)
  await sink.accept(signed(ENTRIES, 7), 4, JOURNAL)

  const names = (await readdir(folder, { recursive: true })).filter((name) => /\d/.test(name))
  expect(names.toSorted()).toEqual([
    'checkpoints/000000000004',
    'checkpoints/000000000007',
    'segments/000000000000-000000000004.jsonl',
    'segments/000000000000-000000000004.signatures.txt',
    'segments/000000000004-000000000007.jsonl',
    'segments/000000000004-000000000007.signatures.txt',
  ])
  const segment = await readFile(join(folder, 'segments/000000000004-000000000007.jsonl'), 'utf8')
  expect(segment).toBe(
    ENTRIES.slice(4)
      .map(({ body }) => `${body.toString()}\n`)
      .join(''),
  )
  expect(await sink.newest?.()).toBe(signed(ENTRIES, 7).note)
})

test('J-T55: a file that is there with other content stops everything, and is never overwritten', async () => {
  const folder = await temporaryFolder()
  const sink = fileAt(folder)
  await sink.accept(signed(ENTRIES), 0, JOURNAL)
  await expect(sink.accept(signed(ENTRIES), 0, JOURNAL)).resolves.toEqual({ receipt: null })
  const before = await readFile(join(folder, 'checkpoints/000000000007'), 'utf8')

  await expect(sink.accept(signed(FORK), 6, sourceOf(FORK))).rejects.toMatchObject({
    code: 'FORKED',
    exit: 5,
  })
  expect(await readFile(join(folder, 'checkpoints/000000000007'), 'utf8')).toBe(before)
})

test('a file that a crash cut short is completed, and a checkpoint cut short says nothing', async () => {
  const folder = await temporaryFolder()
  const sink = fileAt(folder)
  await sink.accept(signed(ENTRIES, 4), 0, JOURNAL)
  await sink.accept(signed(ENTRIES), 4, JOURNAL)
  await truncate(join(folder, 'checkpoints/000000000007'), 30)
  await truncate(join(folder, 'segments/000000000004-000000000007.jsonl'), 100)

  expect(await sink.newest?.()).toBe(signed(ENTRIES, 4).note)
  await sink.accept(signed(ENTRIES), 4, JOURNAL)
  expect(await sink.newest?.()).toBe(signed(ENTRIES).note)
})

test('a folder that cannot be written is asked again, and the message has no more than the reason', async () => {
  const folder = await temporaryFolder()
  await writeFile(join(folder, 'file'), '')

  await expect(
    fileAt(join(folder, 'file')).accept(signed(ENTRIES), 0, JOURNAL),
  ).rejects.toMatchObject({ code: 'SINK_FAILED', message: expect.stringContaining('ENOTDIR') })
})

test('a bucket has the same files, locked in compliance mode for as long as was said', async () => {
  await using server = await openS3Server()
  const options = {
    name: 'bucket',
    required: true,
    endpoint: server.endpoint,
    region: 'eu-west-3',
    bucket: 'purge',
    prefix: 'app one/',
    retainDays: 365,
    evidence: false,
    clock: fixedClock,
    ...S3_KEY,
  }
  const sink = s3Sink(options)
  expect(await sink.newest?.()).toBeNull()
  for (const size of [3, 4, 5, 7]) await sink.accept(signed(ENTRIES, size), 0, JOURNAL)

  expect(await sink.newest?.()).toBe(signed(ENTRIES).note)
  expect(sink.place).toBe('s3://purge/app one/')
  expect((await sink.notes?.())?.map(({ note }) => note)).toEqual(
    [3, 4, 5, 7].map((size) => signed(ENTRIES, size).note),
  )
  const kept = server.objects.get('app one/checkpoints/000000000007')
  expect(kept).toMatchObject({ mode: 'COMPLIANCE', until: '2027-11-22T12:00:00.250Z' })
  expect([...server.objects.values()].every(({ mode }) => mode === 'COMPLIANCE')).toBe(true)

  await expect(sink.accept(signed(ENTRIES), 5, JOURNAL)).resolves.toEqual({ receipt: null })
  await expect(sink.accept(signed(FORK), 6, sourceOf(FORK))).rejects.toMatchObject({
    code: 'FORKED',
  })
  expect(server.objects.get('app one/checkpoints/000000000007')).toBe(kept)

  const wrongKey = s3Sink({ ...options, secretKey: 'wrong' })
  const refused = await wrongKey
    .accept(signed(ENTRIES), 0, JOURNAL)
    .catch((error: unknown) => error)
  expect(refused).toMatchObject({ code: 'SINK_FAILED' })
  expect(String(refused)).toContain('403, SignatureDoesNotMatch')
  expect(String(refused)).not.toContain(S3_KEY.secretKey)
  server.failing = 503
  await expect(sink.newest?.()).rejects.toMatchObject({ code: 'SINK_FAILED' })
  server.failing = null
  server.forgetful = true
  server.objects.clear()
  await expect(sink.accept(signed(ENTRIES), 0, JOURNAL)).rejects.toThrow('did not lock it')
})

test('a service that is not there is asked again', async () => {
  const server = await openS3Server()
  const { endpoint } = server
  await server[Symbol.asyncDispose]()
  const sink = s3Sink({
    name: 'bucket',
    required: true,
    endpoint,
    region: 'eu-west-3',
    bucket: 'purge',
    prefix: '',
    retainDays: 1,
    evidence: false,
    clock: fixedClock,
    ...S3_KEY,
  })

  await expect(sink.accept(signed(ENTRIES), 0, JOURNAL)).rejects.toMatchObject({
    code: 'SINK_FAILED',
  })
})

const exec = (...command: readonly string[]) =>
  execSink({ name: 'stamp', required: true, command, timeoutMs: 5_000 })

test('a command gets the note, and what it answers is the receipt', async () => {
  const head = signed(ENTRIES)

  expect(await exec('cat').accept(head, 0, JOURNAL)).toEqual({ receipt: head.note })
  const binary = await exec('head', '-c', '2', '/dev/zero').accept(head, 0, JOURNAL)
  expect(binary).toEqual({ receipt: 'AAA=' })
  expect(await exec('true').accept(head, 0, JOURNAL)).toEqual({ receipt: null })
  const environment = await exec('env').accept(head, 0, JOURNAL)
  expect(environment.receipt).toMatch(/^PATH=[^\n]*\n$/)
})

test('a command that fails, is not there, takes too long or says too much has taken nothing', async () => {
  const head = signed(ENTRIES)
  const slow = execSink({ name: 'stamp', required: true, command: ['sleep', '60'], timeoutMs: 50 })

  await expect(exec('false').accept(head, 0, JOURNAL)).rejects.toThrow('ended with status 1')
  await expect(exec('/no/such').accept(head, 0, JOURNAL)).rejects.toThrow('(ENOENT)')
  await expect(slow.accept(head, 0, JOURNAL)).rejects.toThrow('took too long')
  await expect(exec('head', '-c', '60000', '/dev/zero').accept(head, 0, JOURNAL)).rejects.toThrow(
    'more than 48 KB',
  )
})

const run = promisify(execFile)
const hasOpenssl = await run('openssl', ['version']).then(
  () => true,
  () => false,
)

test.runIf(hasOpenssl)(
  'the time stamp of the documented script is verified by openssl',
  async () => {
    const folder = await temporaryFolder()
    const at = (name: string) => join(folder, name)
    const openssl = async (...args: readonly string[]) => run('openssl', args, { cwd: folder })
    await mkdir(at('tsa'))
    await writeFile(
      at('tsa.cnf'),
      `[tsa]\ndefault_tsa = one\n[one]\ndir = ${folder}/tsa\nserial = ${folder}/tsa/serial
signer_digest = sha256\ndefault_policy = 1.2.3.4\ndigests = sha256\nordering = yes\ntsa_name = yes
[ext]\nextendedKeyUsage = critical,timeStamping\n[req]\ndistinguished_name = dn\n[dn]\n`,
    )
    await openssl(
      ...'req -x509 -newkey rsa:2048 -nodes -keyout tsa.key -out tsa.pem'.split(' '),
      '-subj',
      '/CN=tsa',
      '-days',
      '2',
      '-config',
      'tsa.cnf',
      '-extensions',
      'ext',
    )
    await writeFile(at('tsa/serial'), '01\n')
    const document = await readFile(new URL('../../docs/operating.md', import.meta.url), 'utf8')
    const [, script = ''] = /```sh\n(#!\/bin\/sh\n# RFC 3161[\s\S]*?)```/.exec(document) ?? []
    // The authority of the test answers from a file instead of an address.
    const local = `openssl ts -reply -queryfile "$work/query" -config ${at('tsa.cnf')} -inkey ${at('tsa.key')} -signer ${at('tsa.pem')} -out "$work/answer" 2>/dev/null`
    await writeFile(at('stamp'), script.replace(/^curl .*$/m, local))
    await chmod(at('stamp'), 0o700)

    const head = signed(ENTRIES)
    const { receipt } = await exec(at('stamp')).accept(head, 0, JOURNAL)

    await writeFile(at('answer.tsr'), Buffer.from(receipt ?? '', 'base64'))
    await writeFile(at('note'), head.note)
    await writeFile(at('other'), head.note.replace('\n7\n', '\n8\n'))
    const verify = async (file: string) =>
      openssl('ts', '-verify', '-data', file, '-in', 'answer.tsr', '-CAfile', 'tsa.pem')
    expect((await verify('note')).stderr + (await verify('note')).stdout).toContain('OK')
    await expect(verify('other')).rejects.toThrow()
  },
)
