import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
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
  const exporting = ['journal', 'export', '--evidence', '--tiles', '--out', out]
  const exported = await site.run(exporting, site.auditor)
  expect(exported).toMatchObject({ status: 0, err: '' })
  const head = exported.out.trimEnd()

  const offline = ['journal', 'verify', '--dir', out]
  expect(await site.run(offline, {})).toMatchObject({ status: 3 })
  expect(await site.run([...offline, '--expect', head], {})).toMatchObject({ status: 0 })
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
