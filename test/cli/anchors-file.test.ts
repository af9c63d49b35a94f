import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readAnchors } from '../../src/cli/anchors-file.ts'
import { systemClock } from '../../src/base/clock.ts'
import { temporaryFolder } from '../anchor/journal.ts'

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
