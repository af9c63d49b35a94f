import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'
import { openCheckpoint } from '../../src/journal/checkpoint.ts'
import { parseVerifierKey, type VerifierKey } from '../../src/journal/note.ts'
import { putBack, takeBackup } from '../support/restore.ts'
import { exitOf, runInside, start } from './program.ts'
import { openSite } from './site.ts'

const POLICY = `
version: 1
policy: site
owner: DPO
timezone: UTC
defaults: { mode: enforce, limits: { max_rows: 1000, max_percent: 100 }, pace: { share: 100 } }
rules:
  - { id: visit, table: site.visit, start: at, keep: 1 year, then: purge }
`

function keyOf(text: string): VerifierKey {
  const key = parseVerifierKey(text.trim())
  if (key === null) throw new Error('no key')
  return key
}

test('J-T49: an operator anchors a journal, rotates its keys, restores the database and goes on', async () => {
  await using site = await openSite(`
    create schema site; create table site.visit (id int primary key, at date);
    insert into site.visit select n, '2015-01-01' from generate_series(1, 3) as n`)
  await site.govern(POLICY)
  await site.prepare()
  const at = (name: string) => join(site.folder, name)
  for (const name of ['checkpoint', 'witness', 'entry2', 'checkpoint2']) {
    await runInside(['keygen', at(`${name}.key`)], {})
  }
  const first = { ...site.env, RETENTIOND_CHECKPOINT_KEY_FILE: at('checkpoint.key') }
  await runInside(['journal', 'checkpoint'], first)
  const status = await runInside(['journal', 'status', '--output', 'json'], site.auditor)
  const log = (JSON.parse(status.out) as { readonly checkpoint_key: string }).checkpoint_key

  const server = start(
    [
      'witness',
      'serve',
      '--key',
      at('witness.key'),
      '--name',
      'witness.example.org',
      '--state',
      at('witness.state'),
      '--log',
      log,
    ],
    { RETENTIOND_LISTEN: '127.0.0.1:0' },
  )
  const told = async (stream: 'stdout' | 'stderr') => {
    for await (const line of createInterface({ input: server[stream] as NodeJS.ReadableStream }))
      return line
    return ''
  }
  const [vkey, port] = await Promise.all([told('stdout'), told('stderr')])
  await site.write(
    'anchors.yaml',
    `sinks:
  - { name: worm, kind: file, folder: kept }
  - { name: parent, kind: witness, url: 'http://127.0.0.1:${port.replace(/\D/g, '')}', key: ${vkey} }
`,
  )
  const env = {
    ...first,
    RETENTIOND_ANCHORS_FILE: at('anchors.yaml'),
    RETENTIOND_STATE_FILE: at('state'),
  }
  await runInside(['plan', '-o', at('plan.json')], env)
  const ran = await runInside(['enforce', '--plan', at('plan.json')], env)
  expect(ran).toMatchObject({ status: 0, err: '' })
  // What the witness signed goes along, and to whoever trusts it the journal is known elsewhere.
  const seen = `log ${log}\nwitness parent ${vkey}\nquorum parent\n`
  await writeFile(at('trust.txt'), seen)
  await runInside(['journal', 'export', '--out', at('out')], site.auditor)
  const offline = ['journal', 'verify', '--dir', at('out'), '--trust']
  expect(await runInside([...offline, at('trust.txt')], {})).toMatchObject({ status: 0 })
  await writeFile(at('alone.txt'), `log ${log}\n`)
  expect(await runInside([...offline, at('alone.txt')], {})).toMatchObject({ status: 3 })
  const run = async (statement: string) => site.sql(statement)
  await run("insert into site.visit values (9, '2015-01-01')")
  await takeBackup(run, ['site.visit'])

  const entry = await runInside(['journal', 'rotate-keys', '--entry', at('entry2.key')], env)
  expect(entry).toMatchObject({ status: 0, out: expect.stringContaining('/entry+') })
  const stale = await runInside(['journal', 'checkpoint'], env)
  expect(stale).toMatchObject({ status: 78, err: expect.stringContaining('entry key') })
  const rotated = { ...env, RETENTIOND_ENTRY_KEY_FILE: at('entry2.key') }
  const checkpoint = await runInside(
    ['journal', 'rotate-keys', '--checkpoint', at('checkpoint2.key')],
    rotated,
  )
  expect(checkpoint).toMatchObject({ status: 0 })
  const [next = '', ...note] = checkpoint.out.split('\n')
  const both = note.slice(1).join('\n')
  for (const keys of [[keyOf(log)], [keyOf(next)]]) {
    expect(openCheckpoint(both, keys).fault).toBeUndefined()
  }
  const now = { ...rotated, RETENTIOND_CHECKPOINT_KEY_FILE: at('checkpoint2.key') }
  const after = await runInside(['enforce'], now)
  // The witness knows the old key only, and is not there for a while: the folder is enough.
  expect(after.status).toBe(0)
  expect(after.err).toContain('witness parent refused the checkpoint (403)')
  const head = /^journal (\S+)$/m.exec(after.out)?.[1] ?? ''
  const verified = ['journal', 'verify', '--expect', head]
  expect(await runInside(verified, site.auditor)).toMatchObject({ status: 0 })

  await putBack(run, ['site.visit'])
  const refused = await runInside(['enforce'], now)
  expect(refused).toMatchObject({
    status: 5,
    err: expect.stringContaining('the state file remembers'),
  })
  expect(await run('select id from site.visit')).toEqual([{ id: 9 }])
  expect((await site.run(['daemon'], { ...now, RETENTIOND_LISTEN: '127.0.0.1:0' })).status).toBe(5)
  const recovered = await runInside(['journal', 'recover', '--from', at('kept')], now)
  expect(recovered).toMatchObject({ status: 0, out: expect.stringContaining('appended again') })
  expect(await runInside(verified, site.auditor)).toMatchObject({ status: 0 })
  expect(await runInside(['enforce'], now)).toMatchObject({ status: 0 })
  expect(await run('select id from site.visit')).toEqual([])
  expect(await readFile(at('state'), 'utf8')).toMatch(/\n\d+:\S{44}\n$/)
  expect(`${after.err}${recovered.err}${ran.out}`).not.toContain('PRIVATE')

  server.kill('SIGTERM')
  expect(await exitOf(server)).toBe(0)
})
