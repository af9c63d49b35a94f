import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readAnchors } from '../../src/cli/anchors-file.ts'
import { systemClock } from '../../src/base/clock.ts'
import { s3Sink } from '../../src/anchor/s3-sink.ts'
import { printTreeHead } from '../../src/journal/merkle.ts'
import { printVerifierKey } from '../../src/journal/note.ts'
import { entriesOf, logKey, signed, sourceOf, temporaryFolder } from '../anchor/journal.ts'
import { headOf } from '../journal/builders.ts'
import { openS3Server, S3_KEY } from '../support/s3-server.ts'
import { runInside } from './program.ts'

const WITNESS = 'witness.example.org+4a7bd1c0+BNdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea'

test('a file of sinks names each, what is required of them, and for how long that may fail', async () => {
  const folder = await temporaryFolder()
  await writeFile(join(folder, 'secret'), 'hush\n', { mode: 0o600 })
  const anchors = await readAnchors(
    join(folder, 'anchors.yaml'),
    `
max_lag: 2 days
quorum: 2
sinks:
  - { name: worm, kind: file, folder: kept }
  - { name: bucket, kind: s3, endpoint: 'https://s3.example.org/', region: r, bucket: purge, prefix: app/, retain_days: 10, access_key_id: A, secret_key_file: secret }
  - { name: stamp, kind: exec, command: ['true'], required: false }
`,
    systemClock,
  )

  expect(anchors).toMatchObject({ quorum: 2, maxLagMs: 48 * 3_600_000 })
  expect(anchors.sinks.map(({ name, required }) => [name, required])).toEqual([
    ['worm', true],
    ['bucket', true],
    ['stamp', false],
  ])
})

test.for([
  ['sinks: []', 'sinks'],
  ['max_lag: 90 minutes\nsinks: [{ name: a, kind: file, folder: x }]', 'max_lag'],
  ['quorum: 2\nsinks: [{ name: a, kind: file, folder: x }]', 'quorum'],
  ['sinks: [{ name: a, kind: file, folder: x }, { name: a, kind: file, folder: y }]', 'one name'],
  ['sinks: [{ name: a, kind: file, folder: x, retain_days: 3 }]', 'retain_days'],
  ['sinks: [{ name: a, kind: ftp, folder: x }]', 'kind'],
  ['sinks: [{ name: a, kind: exec, command: sh -c x }]', 'command'],
  [`sinks: [{ name: a, kind: witness, url: 'http://u:p@w', key: ${WITNESS} }]`, 'url'],
  ["sinks: [{ name: a, kind: witness, url: 'http://w', key: nonsense }]", 'key'],
  ['sinks: [{ name: a, kind: file, folder: *x }]', 'anchors.yaml'],
] as const)('a file of sinks is refused that says %s', async ([text, said]) => {
  await expect(readAnchors('/x/anchors.yaml', text, systemClock)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining(said),
  })
})

test('a journal is verified against the bucket of a sink, with the secret of its file', async () => {
  await using server = await openS3Server()
  const folder = await temporaryFolder()
  const at = (name: string) => join(folder, name)
  const entries = entriesOf(7)
  await mkdir(at('out'))
  await writeFile(
    at('out/entries.jsonl'),
    entries.map(({ body }) => `${body.toString()}\n`).join(''),
  )
  await writeFile(
    at('out/signatures.txt'),
    entries.map(({ seq, sig }) => `${seq} ${sig.toString('base64')}\n`).join(''),
  )
  await writeFile(at('out/head.txt'), `${printTreeHead(headOf(entries))}\n`)
  await writeFile(at('trust.txt'), `log ${printVerifierKey(logKey())}\n`)
  await writeFile(at('secret'), `${S3_KEY.secretKey}\n`, { mode: 0o600 })
  const { endpoint } = server
  await writeFile(
    at('anchors.yaml'),
    `sinks: [{ name: worm, kind: s3, endpoint: '${endpoint}', region: eu-west-3, bucket: purge, prefix: app/, retain_days: 10, access_key_id: ${S3_KEY.accessKeyId}, secret_key_file: secret }]`,
  )
  const sink = s3Sink({
    ...S3_KEY,
    name: 'worm',
    required: true,
    endpoint,
    region: 'eu-west-3',
    bucket: 'purge',
    prefix: 'app/',
    retainDays: 10,
    evidence: false,
    clock: systemClock,
  })
  await sink.accept(signed(entries), 0, sourceOf(entries))
  const env = { RETENTIOND_ANCHORS_FILE: at('anchors.yaml') }
  const verify = async (place: string, given = env) =>
    runInside(
      ['journal', 'verify', '--dir', at('out'), '--trust', at('trust.txt'), '--anchor', place],
      given,
    )

  expect(await verify('s3://purge/app')).toMatchObject({ status: 0 })
  const other = await verify('s3://purge/other/')
  expect(other).toMatchObject({ status: 3 })
  expect(other.err).toContain('there are s3://purge/app/')
  server.failing = 503
  expect(await verify('s3://purge/app/')).toMatchObject({ status: 3 })
})
