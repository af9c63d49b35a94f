import { readFile, stat, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { runInside } from './program.ts'
import { openSite, type Site } from './site.ts'

/** A key whose text depends on typmods, the time zone of the session and the escapes of JSON. */
const SCHEMA = `
create schema site;
create table site.visit (
  code numeric(9, 2), at timestamptz, "na.me" text, day date, primary key (code, at, "na.me")
);
insert into site.visit
  select n, '2015-03-04T05:06:07.5+02', E'Zoë "o''k" \\u001f' || n, '2015-03-04'
  from generate_series(1, 5) as n;
create table site.other (id int primary key, day date);
insert into site.other values (1, '2015-03-04');`

const POLICY = `
version: 1
policy: site
owner: DPO
timezone: UTC
defaults: { mode: enforce, limits: { max_rows: 10, max_percent: 100 }, batch: { rows: 3 }, pace: { share: 100 } }
rules:
  - { id: visit, table: site.visit, start: day, keep: 1 year, then: purge }
  - { id: other, table: site.other, start: day, keep: 1 year, then: purge, evidence: count }
`

/** A site whose rows went, with a signed journal, an export of it and the auditor's trust file. */
async function purged(site: Site) {
  await site.govern(POLICY)
  await site.prepare()
  const at = (name: string) => `${site.folder}/${name}`
  const env = {
    ...site.env,
    RETENTIOND_CHECKPOINT_KEY_FILE: at('checkpoint.key'),
    RETENTIOND_EVIDENCE_KEY_FILE: at('evidence.key'),
  }
  await runInside(['keygen', at('checkpoint.key')], {})
  await runInside(['keygen', '--evidence', 'ek-2026', at('evidence.key')], {})
  const role = new URL(site.env['RETENTIOND_DATABASE_URL'] ?? '').username
  await site.sql(`
    grant usage on schema site to ${role};
    grant select, delete on site.visit, site.other to ${role};
    alter role ${role} set timezone = 'Asia/Kathmandu'`)
  const planned = await runInside(['plan', '--output', 'json'], env)
  const plan = await site.write('plan.json', planned.out)
  expect(await runInside(['enforce', '--plan', plan], env)).toMatchObject({ status: 0 })
  const status = await runInside(['journal', 'status', '--output', 'json'], env)
  const keys = JSON.parse(status.out) as { checkpoint_key: string; entry_key: string }
  const trust = at('trust.txt')
  await writeFile(trust, `log ${keys.checkpoint_key}\nlog ${keys.entry_key}\n`)
  return { at, env, trust }
}

const key = (code: string, at: string, n: number) => [code, at, `Zoë "o'k" \u001f${n}`]

test('J-T44: a row is proved by its key in any spelling that its columns read', async () => {
  await using site = await openSite(SCHEMA)
  const { at, env, trust } = await purged(site)
  const prove = async (out: string, given: readonly string[], more: readonly string[] = []) =>
    runInside(
      ['journal', 'prove', '--table', 'site.visit', '--out', at(out), ...more, '--key', ...given],
      env,
    )
  const verify = async (file: string, ...more: readonly string[]) =>
    runInside(['journal', 'verify-proof', at(file), '--trust', trust, ...more], {})

  const exact = key('4.00', '2015-03-04 03:06:07.5+00', 4)
  const proved = await prove('exact.json', exact)
  expect(proved).toMatchObject({ status: 0, out: '' })
  expect(proved.err).toContain('names the row')
  expect((await stat(at('exact.json'))).mode & 0o777).toBe(0o600)
  const loose = key('4', '2015-03-04T08:51:07.5+05:45', 4)
  expect(await prove('loose.json', loose)).toMatchObject({ status: 0 })
  expect(await readFile(at('loose.json'))).toEqual(await readFile(at('exact.json')))

  const checked = await verify('exact.json', '--output', 'json')
  expect(checked).toMatchObject({ status: 0, err: '' })
  expect(JSON.parse(checked.out)).toMatchObject({
    verdict: 'proved',
    key: exact,
    table: 'site.visit',
    action: 'purge',
    rule: 'visit',
  })
  expect((await verify('exact.json')).out).toMatch(/^proved: /)

  // Nothing is written over, and what is no key is said without its values.
  expect(await prove('exact.json', exact)).toMatchObject({ status: 78 })
  const wrong = await prove('wrong.json', key('four', '2015-03-04', 4))
  expect(wrong).toMatchObject({ status: 64 })
  expect(wrong.err).not.toContain('four')
  expect(await prove('wrong.json', ['4'])).toMatchObject({ status: 64 })

  // From an export alone, in the text that PostgreSQL prints.
  const exporting = ['journal', 'export', '--evidence', '--out', at('out')]
  expect(await runInside(exporting, site.auditor)).toMatchObject({ status: 0 })
  expect(await prove('folder.json', exact, ['--dir', at('out')])).toMatchObject({ status: 0 })
  expect(await readFile(at('folder.json'))).toEqual(await readFile(at('exact.json')))

  // A row that never went, one of a table that only counts, and entries that are not looked at.
  const never = await prove('never.json', key('6.00', '2015-03-04 03:06:07.5+00', 6))
  expect(never).toMatchObject({ status: 3 })
  expect(never.err).toMatch(/no evidence of this row under ek-2026 in \d+ entries/)
  expect(never.err).toContain('does not say that it was not destroyed')
  const counted = ['journal', 'prove', '--table', 'site.other', '--key', '1', '--out', at('c.json')]
  expect(await runInside(counted, env)).toMatchObject({ status: 3 })
  expect(await prove('never.json', exact, ['--to', '3'])).toMatchObject({ status: 3 })

  // Another key, under this id and under another one.
  for (const id of ['ek-2026', 'ek-2027']) {
    await runInside(['keygen', '--evidence', id, at(`${id}.key`)], {})
    const other = await prove('other.json', exact, ['--evidence-key', at(`${id}.key`)])
    expect(other).toMatchObject({ status: 78 })
    expect(other.err).toContain('KEY-CHECK')
  }

  // A proof that was edited, one that is none, and a trust file without keys.
  const file = await readFile(at('exact.json'), 'utf8')
  await writeFile(at('edited.json'), file.replace('"4.00"', '"5.00"'))
  const edited = await verify('edited.json')
  expect(edited).toMatchObject({ status: 1 })
  expect(edited.out).toContain('NOT PROVED: EVIDENCE')
  await writeFile(at('none.json'), '{}')
  expect(await verify('none.json')).toMatchObject({ status: 64 })
  const kept = await readFile(trust, 'utf8')
  await writeFile(trust, '')
  expect(await verify('exact.json')).toMatchObject({ status: 64 })

  // A certificate of it, and none of a proof or journal that does not hold.
  const trusted = await site.write('again.txt', kept)
  const certify = async (out: string, ...of: readonly string[]) =>
    runInside(['journal', 'certificate', '--out', at(out), ...of], {})
  const record = await certify('c.html', '--proof', at('exact.json'), '--trust', trusted)
  expect(record).toMatchObject({ status: 0, out: '' })
  expect(record.err).toContain('names the row')
  expect(await readFile(at('c.html'), 'utf8')).toContain('one record of site.visit')
  const note = await runInside(['journal', 'checkpoint'], env)
  const whole = ['--dir', at('out'), '--trust', trusted]
  const anchored = [...whole, '--anchor', await site.write('anchor.txt', note.out)]
  const days = ['--from', '2026-01-01', '--to', '2199-12-31']
  expect(await certify('all.html', ...anchored, ...days)).toMatchObject({ status: 0, err: '' })
  expect(await readFile(at('all.html'), 'utf8')).toMatch(/Verified.*<code>site\.other<\/code>/s)
  expect(await certify('weak.html', ...whole, ...days)).toMatchObject({ status: 3 })
  expect(await certify('x.html', ...anchored, '--run', 'none')).toMatchObject({ status: 3 })
  expect(await certify('x.html', ...anchored, ...days, '--run', 'x')).toMatchObject({ status: 64 })
  const forged = ['--proof', at('edited.json'), '--trust', trusted]
  expect(await certify('x.html', ...forged)).toMatchObject({ status: 1 })
  const entries = await readFile(`${at('out')}/entries.jsonl`, 'utf8')
  await writeFile(`${at('out')}/entries.jsonl`, entries.replace('"rows":3', '"rows":2'))
  expect(await certify('x.html', ...anchored, ...days)).toMatchObject({ status: 1 })

  // A row that is there although its deletion was journalled is looked for where it can be.
  const deep = ['journal', 'verify', '--deep', '--anchor', at('anchor.txt')]
  const clean = await runInside(deep, env)
  expect(clean).toMatchObject({ status: 0, err: '' })
  expect(clean.out).toMatch(/SAMPLED: rows that are there \(0 of site.visit\)/)
  await site.sql(`insert into site.visit values (9, now(), 'x', now()),
    (4, '2015-03-04T03:06:07.5+00', E'Zoë "o''k" \\u001f4', '2015-03-04')`)
  const risen = await runInside(deep, env)
  expect(risen).toMatchObject({ status: 1 })
  expect(risen.out).toMatch(/finding +entry \d+: RESURRECTED: a row of site.visit/)
  // Who may not read the table looks for nothing there, and finds the journal sound.
  const blind = { ...site.auditor, RETENTIOND_EVIDENCE_KEY_FILE: at('evidence.key') }
  expect(await runInside(deep, blind)).toMatchObject({ status: 0 })

  // Without the key nobody can prove anything, and the journal verifies as before.
  const destroy = ['journal', 'destroy-evidence-key', 'ek-2026', '--file', at('evidence.key')]
  expect(await runInside(destroy, env)).toMatchObject({ status: 0 })
  const without = await runInside(
    ['journal', 'prove', '--table', 'site.visit', '--out', at('late.json'), '--key', ...exact],
    site.env,
  )
  expect(without).toMatchObject({ status: 3 })
  expect(without.err).toContain('no evidence key is given')
})
