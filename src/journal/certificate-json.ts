import type { Certificate } from './certificate.ts'

/** The certificate for programs, inside the page. */
export function certificateJson(certificate: Certificate): Readonly<Record<string, unknown>> {
  const { scope, lines, runs: made, entries, head, rules } = certificate
  const { number, origin, controller, system, issuedAt, databases, verdict, anchors } = certificate
  return {
    schema_version: 1,
    type: 'certificate',
    number,
    scope,
    origin,
    controller,
    system,
    databases,
    issued_at: issuedAt,
    backup_days: certificate.backupDays,
    verdict,
    size: head.size,
    root: head.root.toString('base64'),
    anchors: anchors === null ? null : { count: anchors.count, newest_at: anchors.newestAt },
    product: certificate.product,
    entry_key_id: certificate.entryKeyId,
    lines: lines.map(({ period, firstDayNotDue, ...line }) => ({
      ...line,
      period: period === null ? null : { count: period.count, unit: period.unit },
      first_day_not_due: firstDayNotDue,
    })),
    runs: made.map(({ startedAt, endedAt, ...run }) => ({
      ...run,
      started_at: startedAt,
      ended_at: endedAt,
    })),
    restored_at: certificate.restoredAt,
    bounds: certificate.bounds,
    checkpoint: certificate.checkpoint,
    entries: entries.map(({ seq, body, sig, path }) => ({
      seq,
      body: body.toString(),
      sig: sig.toString('base64'),
      path: path.map((hash) => hash.toString('base64')),
    })),
    rules: Object.fromEntries(rules),
  }
}
