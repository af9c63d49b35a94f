import { expect, test } from 'vitest'
import { parsePolicies } from '../../src/policy/parse.ts'
import { parsed, policyYaml, ruleWith } from './documents.ts'

const header = `version: 1
policy: crm
owner: DPO
timezone: Europe/Paris
plausible_from: 2000-01-01
sentinels: { open: [2999-01-01], invalid: [1900-01-01] }
defaults:
  mode: enforce
  schedule: 0 3 * * *
  schedule_timezone: Europe/Rome
  limits: { max_rows: 100, max_percent: 5 }
  batch: { rows: 10 }
rules:
`

test('without a word, a rule reports, within limits, on demand', () => {
  expect(ruleWith('')).toMatchObject({
    title: 'site',
    policy: 'crm',
    register: null,
    zone: 'Europe/Paris',
    where: null,
    start: { kind: 'column', column: 'recorded_at', zone: null, unit: null, format: null },
    mode: 'report',
    schedule: null,
    limits: { maxRows: 50_000, maxPercent: 10 },
    batchRows: null,
    plausibleFrom: '1990-01-01',
    sentinels: { open: [], invalid: [] },
    references: [],
  })
})

test('a rule has what its policy says where it says nothing itself', () => {
  const [rule] = parsed(
    `${header}  - { id: a, table: t.a, start: at, keep: 1 year, then: purge }\n`,
  ).rules

  expect(rule).toMatchObject({
    mode: 'enforce',
    schedule: { cron: '0 3 * * *', zone: 'Europe/Rome' },
    limits: { maxRows: 100, maxPercent: 5 },
    batchRows: 10,
    plausibleFrom: '2000-01-01',
    sentinels: { open: ['2999-01-01'], invalid: ['1900-01-01'] },
  })
})

test('what a rule says itself wins', () => {
  const [rule] = parsed(`${header}  - id: a
    title: Own
    table: t.a
    start: at
    keep: 1 year
    then: purge
    mode: report
    timezone: UTC
    schedule: 0 4 * * *
    schedule_timezone: UTC
    limits: { max_rows: 99 }
    batch: { rows: 9 }
    plausible_from: 2001-01-01
    sentinels: { open: [2998-01-01] }
`).rules

  expect(rule).toMatchObject({
    title: 'Own',
    mode: 'report',
    zone: 'UTC',
    schedule: { cron: '0 4 * * *', zone: 'UTC' },
    limits: { maxRows: 99, maxPercent: 5 },
    batchRows: 9,
    plausibleFrom: '2001-01-01',
    sentinels: { open: ['2998-01-01'], invalid: ['1900-01-01'] },
  })
})

test('the pace of a rule is merged key by key with that of its policy and of the program', () => {
  const [rule] = parsed(`${header.replace(
    'rules:',
    '  pace: { share: 20, rows_per_second: 900, pause_when: { replica_lag: 1 minute } }\nrules:',
  )}  - id: a
    table: t.a
    start: at
    keep: 1 year
    then: purge
    timezone: Europe/Rome
    pace:
      share: 30
      max_duration: 2 hours
      window: { from: '22:00', to: '06:30' }
      pause_when: { slot_wal: 500 MB }
`).rules

  expect(rule?.pace).toEqual({
    rowsPerSecond: 900,
    share: 30,
    maxDurationMs: 7_200_000,
    window: { from: 1320, to: 390, zone: 'Europe/Rome' },
    pauseWhen: {
      replicaLagMs: 60_000,
      slotWalBytes: 500 * 1024 ** 2,
      lockWaiters: 10,
      batchMs: 5000,
      deadPercent: 60,
      explicit: ['replicaLagMs', 'slotWalBytes'],
    },
  })
})

test('an event that starts a period is read with its links, its filter and its substitute', () => {
  const start = `{ latest: crm.contract.ended_on, by: { customer_id: id }, open: { state: open },
      none: { use: created_at }, timezone: UTC, via: crm.parent }`
  const yaml = `  - { id: a, table: t.a, keep: 1 year, then: purge, start: ${start} }\n`

  expect(parsed(policyYaml(yaml)).rules[0]?.start).toEqual({
    kind: 'event',
    sources: [
      {
        table: { schema: 'crm', name: 'contract' },
        column: 'ended_on',
        zone: 'UTC',
        unit: null,
        format: null,
        hops: [],
        via: { schema: 'crm', name: 'parent' },
        by: [{ source: 'customer_id', own: 'id' }],
        open: { kind: 'equals', column: 'state', value: 'open' },
        place: ['start'],
      },
    ],
    own: [],
    nulls: 'open',
    none: { use: { column: 'created_at', zone: null, unit: null, format: null } },
  })
})

test('each column of an anonymisation has what is written into it', () => {
  const masks = '{ a: nothing, b: { constant: 0 }, c: { template: "{key}@x" }, d: { keep: why } }'

  expect(ruleWith(`    then: { anonymise: ${masks} }\n`).action).toEqual({
    kind: 'anonymise',
    masks: [
      { column: 'a', strategy: { kind: 'nothing' } },
      { column: 'b', strategy: { kind: 'constant', value: 0 } },
      { column: 'c', strategy: { kind: 'template', text: '{key}@x' } },
      { column: 'd', strategy: { kind: 'keep', why: 'why' } },
    ],
  })
})

test('a day can not mean both open and unknown, in a policy or with a rule', () => {
  const rule = (more: string): string =>
    `  - { id: a, table: t.a, start: at, keep: 1 year, then: purge${more} }\n`
  const inPolicy = `${header}${rule('')}`.replace('[2999-01-01]', '[1900-01-01]')
  const inRule = `${header}${rule(', sentinels: { open: [1900-01-01] }')}`

  for (const [text, path] of [
    [inPolicy, 'sentinels'],
    [inRule, 'rules[0].sentinels'],
  ] as const) {
    const { problems = [] } = parsePolicies([{ file: 'a.yaml', text }])
    expect(problems.map(({ code, path }) => [code, path])).toEqual([['sentinel_contradicts', path]])
  }
})
