/** What a proof says, for people and for programs. It names the row, as the proof itself does. */
import { cosignedBy } from './certificate.ts'
import { printTreeHead } from './merkle.ts'
import type { Proved } from './proof.ts'

/** Renders what was proved. `visible` spells out what could move the cursor or hide text. */
export function renderProved(proved: Proved, visible: (text: string) => string): string {
  const { key, target, action, batch, policy, head } = proved
  const seen = cosignedBy(proved.signed)
  return [
    'proved: the journal has this row among those it acted on',
    `row         ${key.map((part) => JSON.stringify(part)).join(', ')}`,
    `table       ${target}`,
    `action      ${action} (${batch.method})`,
    `time        ${batch.time}, after ${batch.reason === 'schedule' ? 'a scheduled run' : `a run (${batch.reason})`}`,
    `rule        ${policy.rule}, version ${policy.sha256}`,
    `why then    on ${batch.day} records that start on ${batch.firstDayNotDue} or later were kept`,
    `entry       ${batch.seq}, run ${batch.run}`,
    `checkpoint  ${printTreeHead(head)}`,
    ...seen.map(({ name, at }) => `seen by     ${name}, ${at}`),
    '',
  ]
    .map(visible)
    .join('\n')
}

/** The same for programs. */
export function provedJson(proved: Proved): Readonly<Record<string, unknown>> {
  const { key, target, action, batch, policy, head } = proved
  return {
    verdict: 'proved',
    key,
    table: target,
    action,
    method: batch.method,
    time: batch.time,
    reason: batch.reason,
    rule: policy.rule,
    rule_sha256: policy.sha256,
    day: batch.day,
    first_day_not_due: batch.firstDayNotDue,
    entry: batch.seq,
    run: batch.run,
    size: head.size,
    root: head.root.toString('base64'),
    cosigned: cosignedBy(proved.signed),
  }
}
