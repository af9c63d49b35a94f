/** A certificate as one page of HTML that needs nothing else, and prints on A4. */
import type { Bound, Certificate, CertifiedLine } from './certificate.ts'
import { actionsOf } from './certificate.ts'
import {
  CERTIFICATE_TEXT,
  type CertificateLanguage,
  type CertificateText,
} from './certificate-text.ts'
import { certificateJson } from './certificate-json.ts'
import { STYLE } from './certificate-style.ts'
import { Html, html } from './html.ts'
import { printTreeHead } from './merkle.ts'

const NOTHING = html``

/** What a page is written with. */
type Page = {
  readonly certificate: Certificate
  readonly text: CertificateText
  readonly language: CertificateLanguage
}

export function renderCertificate(certificate: Certificate, language: CertificateLanguage): string {
  const page = { certificate, text: CERTIFICATE_TEXT[language], language }
  const title = page.text.title(actionsOf(certificate))
  const body = html`<!doctype html>
    <html lang="${language}">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} ${certificate.number}</title>
        <style>
          ${new Html(STYLE)}
        </style>
      </head>
      <body>
        <main>
          ${heading(page, title)} ${what(page)} ${why(page)} ${runs(page)} ${method(page)}
          ${verified(page)} ${limits(page)} ${signatures(page)} ${annexProof(page)}
          ${annexRules(page)}
        </main>
        <script type="application/json" id="certificate">
          ${new Html(embedded(certificate))}
        </script>
      </body>
    </html> `
  return language === 'fr' ? unbroken(body.text) : body.text
}

/** A colon or semicolon of French never begins a line; what is quoted stays as it is. */
function unbroken(page: string): string {
  return page
    .split(/(<(?:pre|code|script|style)\b[^]*?<\/(?:pre|code|script|style)>)/)
    .map((part, at) =>
      at % 2 === 1 ? part : part.replaceAll(/(?<=[\p{L}\d)»]) (?=[:;](?: |<|$))/gmu, '\u00a0'),
    )
    .join('')
}

function heading({ certificate, text }: Page, title: string): Html {
  const { number, controller, system, databases, origin, issuedAt, scope, verdict } = certificate
  const [short, long] = text.verdict[verdict === 'tampered' ? 'unanchored' : verdict]
  const covers =
    scope.kind === 'run'
      ? text.run(scope.run)
      : scope.kind === 'period'
        ? text.days(scope.from, scope.to)
        : text.record(scope.target)
  const good = verdict === 'verified' || verdict === 'proved'
  return html`<header>
      <h1>${title}</h1>
      <p class="verdict ${good ? 'good' : 'weak'}"><strong>${short}.</strong> ${long}</p>
    </header>
    ${facts([
      [text.number, html`<code>${number}</code>`],
      [text.controller, controller ?? text.notStated],
      [text.system, system ?? text.notStated],
      [text.covers, dated(covers)],
      ...(scope.kind === 'record' ? [[text.key, keyOf(scope.key)] as const] : []),
      [text.journal, html`<code>${origin}</code>`],
      [text.database, databases.join(', ') || text.notStated],
      [text.issued, instant(issuedAt)],
    ])}`
}

function keyOf(key: readonly string[]): Html {
  return html`<code>${JSON.stringify(key)}</code>`
}

function facts(rows: readonly (readonly [string, Html | string])[]): Html {
  return html`<dl>
    ${rows.map(
      ([name, value]) =>
        html`<div>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>`,
    )}
  </dl>`
}

function what({ certificate, text, language }: Page): Html {
  const { lines } = certificate
  if (lines.length === 0)
    return html`<section>
      <h2>${text.what}</h2>
      <p>${text.nothing}</p>
    </section>`
  const count = (rows: number) => rows.toLocaleString(language)
  const total = lines.reduce((sum, line) => sum + (line.action === 'detach' ? 0 : line.rows), 0)
  return html`<section>
    <h2>${text.what}</h2>
    <table>
      <thead>
        <tr>
          ${text.columns.map((name, at) => html`<th${at === 2 ? NUMBER : NOTHING} scope="col">${name}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${lines.map(
          ({ target, action, rows, from, to }) =>
            html`<tr>
              <td><code>${target}</code></td>
              <td>${text.action[action]}</td>
              <td class="number">${count(rows)}</td>
              <td>${instant(from)}</td>
              <td>${instant(to)}</td>
            </tr>`,
        )}
      </tbody>
      ${lines.length === 1 ? NOTHING : totalRow(text, count(total))}
    </table>
  </section>`
}

function totalRow(text: CertificateText, total: string): Html {
  return html`<tfoot>
    <tr>
      <th colspan="2" scope="row">${text.total}</th>
      <td class="number">${total}</td>
      <td colspan="2"></td>
    </tr>
  </tfoot>`
}

const NUMBER = html` class="number"`

function why({ certificate, text }: Page): Html {
  const said = new Map(certificate.lines.map((line) => [line.sha256, line]))
  return html`<section>
    <h2>${text.why}</h2>
    ${facts([...said.values()].map((line) => [line.rule, ruleSays(text, line, certificate)] as const))}
    <p>${text.whyAlways}</p>
  </section>`
}

function ruleSays(
  text: CertificateText,
  { period, firstDayNotDue, sha256 }: CertifiedLine,
  { lines }: Certificate,
): Html {
  const kept = period === null ? text.notStated : text.unit(period.count, period.unit)
  const masks = [...new Set(lines.flatMap((line) => (line.sha256 === sha256 ? line.masks : [])))]
  const columns = masks.map((mask) => mask.replace(/:[a-z_]+$/, '')).join(', ')
  return html`${dated(text.ruleSays(kept, firstDayNotDue))}${
      masks.length === 0 ? NOTHING : html`<br />${text.masks} <code>${columns}</code>`
    }<br /><small>SHA-256 <code>${sha256}</code></small>`
}

function runs({ certificate, text }: Page): Html {
  if (certificate.runs.length === 0) return NOTHING
  return html`<section>
    <h2>${text.runs}</h2>
    <table>
      <thead>
        <tr>
          ${text.runColumns.map((name) => html`<th scope="col">${name}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${certificate.runs.map(
          ({ trigger, startedAt, endedAt, outcome }) =>
            html`<tr>
              <td>${instant(startedAt)}</td>
              <td>${endedAt === null ? NOTHING : instant(endedAt)}</td>
              <td>${text.trigger[trigger] ?? trigger}</td>
              <td>${outcome === null ? text.noEnd : (text.outcome[outcome] ?? outcome)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </section>`
}

function method({ certificate, text }: Page): Html {
  const { backupDays, lines } = certificate
  const last = lines
    .map(({ to }) => to)
    .toSorted()
    .at(-1)
  const until =
    backupDays === null || last === undefined
      ? null
      : new Date(Date.parse(last) + backupDays * 86_400_000).toISOString().slice(0, 10)
  const actions = [...actionsOf(certificate)]
  return html`<section>
    <h2>${text.method}</h2>
    ${actions.map((action) => html`<p>${text.methods[action]}</p>`)}
    ${actions.length === 0 ? NOTHING : html`<p>${dated(text.residuals(until))} ${text.sanitisation}</p>`}
  </section>`
}

function verified(page: Page): Html {
  const { certificate, text } = page
  const { entryKeyId, product, head, anchors, lines } = certificate
  const kinds = new Set(lines.map(({ evidence }) => evidence))
  const [only] = kinds
  const rows = only === undefined ? text.facts.none : text.evidence[kinds.size > 1 ? 'both' : only]
  const seen = anchors?.newestAt ?? null
  const outside =
    anchors === null || anchors.count === 0
      ? text.facts.none
      : html`${anchors.count}${seen === null ? NOTHING : html`, ${text.facts.seen} ${instant(seen)}`}`
  return html`<section>
    <h2>${text.verified}</h2>
    ${facts([
      [text.facts.head, html`<code>${printTreeHead(head)}</code>`],
      ...(certificate.scope.kind === 'record' ? [] : [[text.facts.outside, outside] as const]),
      ...bounds(page),
      [text.facts.signedBy, html`<code>${entryKeyId}</code>`],
      ...(product === '' ? [] : [[text.facts.program, product] as const]),
      [text.facts.rows, rows],
    ])}
  </section>`
}

/** Between which checkpoints it was journalled; of a witness it is its own time. */
function bounds({ certificate, text }: Page): readonly (readonly [string, Html])[] {
  const { before, after } = certificate.bounds
  const rows: readonly (readonly [string, Bound | null])[] = [
    [text.facts.before, before],
    [text.facts.after, after],
  ]
  return rows.flatMap(([name, bound]) => {
    if (bound === null) return []
    const { size, time, cosigned } = bound
    const at = time === null ? NOTHING : html`, ${instant(time)}`
    const seen = cosigned.map((each) => html`${text.facts.cosigned(each.name)} ${instant(each.at)}`)
    return [[name, html`${text.facts.bound(size)}${at}${seen}`] as const]
  })
}

function limits({ certificate, text }: Page): Html {
  const lines = [
    ...certificate.restoredAt.map((time) => text.restored(time.slice(0, 10))),
    ...(certificate.scope.kind === 'record' ? [text.restoreUnseen] : []),
    ...text.limitList,
  ]
  return html`<section>
    <h2>${text.limits}</h2>
    <ul>
      ${lines.map((line) => html`<li>${dated(line)}</li>`)}
    </ul>
  </section>`
}

function signatures({ text }: Page): Html {
  return html`<section class="signatures">
    <h2>${text.signatures}</h2>
    <div class="two">
      ${text.sign.map(
        (who) =>
          html`<div>
            <p>${who}</p>
            <div class="line"></div>
            <small>${text.signFields}</small>
          </div>`,
      )}
    </div>
  </section>`
}

/** How to check it, and what there is to check. */
function annexProof(page: Page): Html {
  const { text } = page
  return html`<section class="annex">
    <h2>${text.check}</h2>
    ${check(page)}
    <h2>${text.annexProof}</h2>
    ${signed(page)}
  </section>`
}

function check({ certificate, text }: Page): Html {
  const record = certificate.scope.kind === 'record'
  const command = record
    ? 'retentiond journal verify-proof PROOF.json --trust TRUST.txt'
    : 'retentiond journal verify --dir EXPORT --trust TRUST.txt --anchor CHECKPOINTS'
  return html`<p>${text.checkHow(record)}</p>
    <pre>${command}</pre>`
}

function signed({ certificate, text }: Page): Html {
  const { checkpoint, entries } = certificate
  if (checkpoint === null) return html`<p>${text.noCheckpoint}</p>`
  return html`<p>${text.annexProofNote}</p>
    <pre>${checkpoint.trimEnd()}</pre>
    ${entries.map(
      ({ seq, body }) =>
        html`<h3>${text.entry(seq)}</h3>
          <pre>${body.toString()}</pre>`,
    )}`
}

function annexRules({ certificate, text }: Page): Html {
  const named = new Set(certificate.lines.map(({ sha256 }) => sha256))
  const known = [...certificate.rules].filter(([sha256]) => named.has(sha256))
  if (known.length === 0) return NOTHING
  return html`<section class="annex">
    <h2>${text.annexRules}</h2>
    ${known.map(
      ([sha256, rule]) =>
        html`<h3>SHA-256 ${sha256}</h3>
          <pre>${indented(rule)}</pre>`,
    )}
  </section>`
}

function indented(rule: string): string {
  return JSON.stringify(JSON.parse(rule), null, 2)
}

/** A day is never broken at its hyphens. */
function dated(text: string): Html {
  const parts = text.split(/(\d{4}-\d\d-\d\d)/)
  return html`${parts.map((part, at) => (at % 2 === 1 ? html`<time>${part}</time>` : html`${part}`))}`
}

/** To the second, as people read it. */
function instant(iso: string): Html {
  return html`<time datetime="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 19)}</time>`
}

/** Nothing in it ends the element that it stands in. */
function embedded(certificate: Certificate): string {
  return JSON.stringify(certificateJson(certificate)).replaceAll('<', '\\u003c')
}
