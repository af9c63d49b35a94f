import { expect, test } from 'vitest'
import { openCheckpoint } from '../../src/journal/checkpoint.ts'
import { parseVerifierKey } from '../../src/journal/note.ts'
import { runInside } from './program.ts'
import { openSite } from './site.ts'

test('an operator signs the journal, and an auditor sees how far it is signed', async () => {
  await using site = await openSite(
    'create schema site; create table site.visit (id int primary key, at date)',
  )
  await site.govern(`
version: 1
policy: site
owner: DPO
timezone: UTC
defaults: { mode: report }
rules:
  - { id: visit, table: site.visit, start: at, keep: 1 year, then: purge }
`)
  await site.prepare()
  const key = `${site.folder}/checkpoint.key`
  const env = { ...site.env, RETENTIOND_CHECKPOINT_KEY_FILE: key }
  await runInside(['keygen', key], env)

  const without = await runInside(['journal', 'checkpoint'], site.env)
  const signed = await runInside(['journal', 'checkpoint'], env)
  const status = await runInside(['journal', 'status', '--output', 'json'], site.auditor)

  expect(without).toMatchObject({ status: 78, out: '' })
  expect(signed).toMatchObject({ status: 0, err: '' })
  const told = JSON.parse(status.out) as { readonly checkpoint_key: string }
  expect(told).toMatchObject({ size: 2, checkpoint: { size: 2 }, unfinished_runs: 0 })
  const known = parseVerifierKey(told.checkpoint_key)
  expect(openCheckpoint(signed.out, known === null ? [] : [known])).toMatchObject({
    checkpoint: { size: 2 },
  })
  const shown = await runInside(['journal', 'status'], site.auditor)
  expect(shown.out).toContain('2 entries to ')
  expect(shown.out).toContain('guards          all in place')
  const again = await runInside(['journal', 'checkpoint'], env)
  expect(again.out).toBe(signed.out)

  await site.sql('drop trigger deny_change on retentiond.entry')
  const lost = await runInside(['journal', 'status'], site.auditor)
  const validated = await runInside(['validate', '--database'], site.superuser)
  expect(lost.out).toContain('guards          trigger deny_change of retentiond.entry is missing\n')
  expect(validated.err).toContain('warning: trigger deny_change of retentiond.entry is missing\n')
})
