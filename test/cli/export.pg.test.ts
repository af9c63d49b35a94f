import { execFile } from 'node:child_process'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { runInside } from './program.ts'
import { openSite } from './site.ts'

test('an auditor exports the journal, and it verifies without a database', async () => {
  await using site = await openSite(`
    create schema site;
    create table site.visit (id int primary key, at date);
    insert into site.visit select n, '2015-01-01' from generate_series(1, 5) as n`)
  await site.govern(`
version: 1
policy: site
owner: DPO
timezone: UTC
defaults: { mode: enforce, limits: { max_rows: 10, max_percent: 100 }, batch: { rows: 3 } }
rules:
  - { id: visit, table: site.visit, start: at, keep: 1 year, then: purge }
`)
  await site.prepare()
  const env = {
    ...site.env,
    RETENTIOND_CHECKPOINT_KEY_FILE: `${site.folder}/checkpoint.key`,
    RETENTIOND_EVIDENCE_KEY_FILE: `${site.folder}/evidence.key`,
  }
  await site.run(['keygen', `${site.folder}/checkpoint.key`])
  await site.run(['keygen', '--evidence', 'ek-2026', `${site.folder}/evidence.key`])
  await site.sql(
    `grant select, delete on site.visit to ${new URL(site.env['RETENTIOND_DATABASE_URL'] ?? '').username}`,
  )
  const planned = await site.run(['plan', '--output', 'json'], env)
  const plan = await site.write('plan.json', planned.out)
  const enforced = await site.run(['enforce', '--plan', plan], env)
  expect(enforced).toMatchObject({ status: 0 })
  await site.run(['journal', 'checkpoint'], env)

  const out = `${site.folder}/out`
  const policies = ['--policies', `${site.folder}/policies`]
  const exporting = ['journal', 'export', '--evidence', '--tiles', '--out', out, ...policies]
  const exported = await site.run(exporting, site.auditor)
  expect(exported).toMatchObject({ status: 0, err: '' })
  const head = exported.out.trimEnd()

  const offline = ['journal', 'verify', '--dir', out]
  expect(await site.run(offline, {})).toMatchObject({ status: 3 })
  expect(await site.run([...offline, '--expect', head], {})).toMatchObject({ status: 0 })
  const note = await site.run(['journal', 'checkpoint'], env)
  const anchor = await site.write('anchor.txt', note.out)
  const status = await site.run(['journal', 'status', '--output', 'json'], site.auditor)
  const keys = JSON.parse(status.out) as { checkpoint_key: string; entry_key: string }
  const trust = await site.write('trust.txt', `log ${keys.checkpoint_key}\nlog ${keys.entry_key}\n`)
  const kept = ['--trust', trust, '--anchor', anchor, `${out}/checkpoints`]
  const anchored = await runInside([...offline, ...kept, '--max-age', '1h'], {})
  expect(anchored).toMatchObject({ status: 0, err: '' })
  expect(anchored.out).toMatch(/^anchors +2, the newest \d+:\S+ in \d{12}, seen 20/m)
  // The export says the same of its keys, and has the text of the rule under its digest.
  expect(await readFile(`${out}/trust.txt`, 'utf8')).toMatch(/^# .*\n(log .*\n){2}$/)
  const [rule = ''] = await readdir(`${out}/policies`)
  expect(await readFile(`${out}/policies/${rule}`, 'utf8')).toContain(
    '"format":"retentiond rule 2"',
  )
  const online = ['journal', 'verify', ...kept, '--deep', '--output', 'json']
  const told = await runInside(online, site.auditor)
  expect(told).toMatchObject({ status: 0 })
  expect(JSON.parse(told.out)).toMatchObject({ verdict: 'verified', anchors: { count: 2 } })
  expect(await runInside([...offline, '--trust', trust], {})).toMatchObject({ status: 3 })
  // What cannot be read says nothing; what is no checkpoint, no trust file and no age is refused.
  const broken = await site.write('broken.txt', note.out.replace(/\n(\d+)\n/, '\n0$1\n'))
  for (const [wrong, exit] of [
    [['--anchor', `${out}/nowhere`], 3],
    [['--anchor', broken], 64],
    [['--trust', anchor], 64],
    [['--max-age', 'long'], 64],
  ] as const) {
    expect(await runInside([...offline, ...wrong], {})).toMatchObject({ status: exit, out: '' })
  }
  const gone = { ...site.auditor, RETENTIOND_DATABASE_URL: 'postgresql://a:b@127.0.0.1:1/x' }
  expect(await runInside(['journal', 'verify', ...kept], gone)).toMatchObject({ status: 3 })

  const sum = await promisify(execFile)('sha256sum', ['--check', '--quiet', 'MANIFEST.sha256'], {
    cwd: out,
  })
  expect(sum.stdout).toBe('')
  const summary = await readFile(`${out}/summary.csv`, 'utf8')
  expect(summary).toMatch(
    /^run,table,policy,version,action,rows,from,to\r\n[^\r]*,site\.visit,visit,[0-9a-f]{64},purge,5,/,
  )

  expect(await site.run(exporting, site.auditor)).toMatchObject({ status: 78 })
  await writeFile(`${out}/summary.csv`, summary.replace(',5,', ',4,'))
  const altered = await site.run([...offline, '--expect', head], {})
  expect(altered.status).toBe(1)
  expect(altered.out).toContain('MANIFEST: summary.csv')
})
