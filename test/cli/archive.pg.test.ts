import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { runInside } from './program.ts'
import { openSite, type Site } from './site.ts'

const SCHEMA = `
create schema site;
create table site.visit (id int primary key, day date);
insert into site.visit select n, '2015-03-04' from generate_series(1, 5) as n;`

const POLICY = `
version: 1
policy: site
owner: DPO
timezone: UTC
defaults: { mode: enforce, limits: { max_rows: 10, max_percent: 100 }, batch: { rows: 3 }, pace: { share: 100 } }
rules:
  - { id: visit, table: site.visit, start: day, keep: 1 year, then: purge }
`

/** A site with a sink, whose runs are asked for one by one. */
async function anchored(site: Site) {
  await site.govern(POLICY)
  await site.prepare()
  const at = (name: string) => `${site.folder}/${name}`
  const keys = {
    RETENTIOND_CHECKPOINT_KEY_FILE: at('checkpoint.key'),
    RETENTIOND_EVIDENCE_KEY_FILE: at('evidence.key'),
    RETENTIOND_STATE_FILE: at('state'),
    RETENTIOND_ANCHORS_FILE: await site.write(
      'anchors.yaml',
      'sinks:\n  - { name: worm, kind: file, folder: worm, evidence: true }\n',
    ),
  }
  const env = { ...site.env, ...keys }
  await runInside(['keygen', at('checkpoint.key')], {})
  await runInside(['keygen', '--evidence', 'ek-2026', at('evidence.key')], {})
  const role = site.env['RETENTIOND_DAEMON_ROLE'] ?? ''
  await site.sql(
    `grant usage on schema site to ${role}; grant select, delete on site.visit to ${role}`,
  )
  const enforce = async (name: string) => {
    const planned = await runInside(['plan', '--output', 'json'], env)
    const plan = await site.write(name, planned.out)
    expect(await runInside(['enforce', '--plan', plan], env)).toMatchObject({ status: 0 })
  }
  return { at, env, enforce, owner: { ...site.superuser, ...keys } }
}

const FROM = ['journal', 'archive', '--before', '2099-01-01', '--out']

test('what is old is archived behind a checkpoint, and everything can still be proved', async () => {
  await using site = await openSite(SCHEMA)
  const { at, env, enforce, owner } = await anchored(site)
  await enforce('one.json')
  await site.sql(`insert into site.visit values (6, '2015-03-04')`)
  await enforce('two.json')
  const verify = async (...more: readonly string[]) =>
    runInside(['journal', 'verify', '--anchor', at('worm'), ...more], site.auditor)
  const prove = async (out: string, id: string, ...more: readonly string[]) =>
    runInside(
      ['journal', 'prove', '--table', 'site.visit', '--key', id, '--out', at(out), ...more],
      env,
    )
  const trust = at('trust.txt')
  const status = await runInside(['journal', 'status', '--output', 'json'], env)
  const named = JSON.parse(status.out) as { checkpoint_key: string; entry_key: string }
  await writeFile(trust, `log ${named.checkpoint_key}\nlog ${named.entry_key}\n`)

  // Only the owner of the schema archives, and only what lies behind a checkpoint and is old.
  expect(await runInside([...FROM, at('denied')], env)).not.toMatchObject({ status: 0 })
  const early = ['journal', 'archive', '--before', '2020-01-01', '--out', at('early')]
  expect(await runInside(early, owner)).toMatchObject({ status: 3 })
  const done = await runInside([...FROM, at('first')], owner)
  expect(done).toMatchObject({ status: 0 })
  expect(done.out).toMatch(/^archived 4 of the entries 0 to \d+, behind \d+:\S+\n$/)

  // Without the archive the journal says what it lacks, with it nothing is missing.
  const without = await verify()
  expect(without).toMatchObject({ status: 0 })
  expect(without.out).toMatch(/ARCHIVED: the bodies of 4 entries/)
  const whole = await verify('--archive', at('first'))
  expect(whole).toMatchObject({ status: 0 })
  expect(whole.out).not.toContain('ARCHIVED')

  // A row of an archived batch is proved from the archive, one of a later batch from the database.
  expect(await prove('none.json', '4')).toMatchObject({ status: 3 })
  expect(await prove('four.json', '4', '--dir', at('first'))).toMatchObject({ status: 0 })
  expect(await prove('six.json', '6')).toMatchObject({ status: 0 })
  for (const file of ['four.json', 'six.json']) {
    const checked = await runInside(['journal', 'verify-proof', at(file), '--trust', trust], {})
    expect(checked).toMatchObject({ status: 0 })
  }

  // A certificate does not pass over what it cannot see.
  const period = ['journal', 'certificate', '--from', '2020-01-01', '--to', '2099-01-01']
  const certify = async (out: string, ...more: readonly string[]) =>
    runInside([...period, '--anchor', at('worm'), '--out', at(out), ...more], site.auditor)
  expect(await certify('part.html')).toMatchObject({ status: 3 })
  expect(await certify('whole.html', '--archive', at('first'))).toMatchObject({ status: 0 })

  // The journal goes on, also under another checkpoint key, and is archived again.
  await runInside(['keygen', at('next.key')], {})
  const rotate = ['journal', 'rotate-keys', '--checkpoint', at('next.key')]
  expect(await runInside(rotate, env)).toMatchObject({ status: 0 })
  const rotated = { RETENTIOND_CHECKPOINT_KEY_FILE: at('next.key') }
  await site.sql(`insert into site.visit values (7, '2015-03-04')`)
  const planned = await runInside(['plan', '--output', 'json'], { ...env, ...rotated })
  const plan = await site.write('three.json', planned.out)
  expect(await runInside(['enforce', '--plan', plan], { ...env, ...rotated })).toMatchObject({
    status: 0,
  })
  expect(await runInside([...FROM, at('second')], { ...owner, ...rotated })).toMatchObject({
    status: 0,
  })
  expect(await verify('--archive', at('first'), at('second'))).toMatchObject({ status: 0 })
  expect((await verify('--archive', at('second'))).out).toMatch(/the bodies of 4 entries/)
  expect((await verify()).out).toMatch(/the bodies of 7 entries/)

  // An export has the hashes of what is archived, from which anybody computes the root.
  const exporting = ['journal', 'export', '--out', at('out')]
  expect(await runInside(exporting, site.auditor)).toMatchObject({ status: 0 })
  expect(await verify('--dir', at('out'))).toMatchObject({ status: 0 })
  expect(await verify('--dir', at('out'), '--archive', at('first'))).toMatchObject({ status: 0 })
  const python = await promisify(execFile)('python3', ['docs/recompute_root.py', at('out')])
  expect(python.stdout).toBe(await readFile(at('out/head.txt'), 'utf8'))

  // Whoever takes a body away by himself takes the guards away first, and is found.
  await site.sql(`
    alter table retentiond.entry disable trigger all;
    alter table retentiond.archived_leaf disable trigger all;
    insert into retentiond.archived_leaf
      select seq, leaf_hash from retentiond.policy_entry where seq > 0;
    delete from retentiond.entry where seq in (select seq from retentiond.policy_entry)`)
  const robbed = await verify()
  expect(robbed).toMatchObject({ status: 1 })
  expect(robbed.out).toMatch(/ARCHIVE: bodies are gone/)
})
