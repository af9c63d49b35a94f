/** A small application that works while rules are enforced on it. */
import type { Bed } from '../support/bed.ts'
import { CLUB_RULE, clubRows, CLUB_SCHEMA } from './club.ts'

/** Long ago: every rule of this application is over. */
export const OLD = "'2001-02-03'"
/** Rows with this id never become due: a change takes its rows from there, or moves them there. */
export const DONOR = 0

const SCHEMA = `
  ${CLUB_SCHEMA}
  create schema crm;
  create table crm.customer (
    id bigint primary key, full_name text not null, email text unique not null, phone text
  );
  create table crm.contract (
    id bigint primary key, customer_id bigint references crm.customer,
    state text not null default 'ended', ended_on date
  );
  create table crm.amendment (id bigint primary key, contract_id bigint references crm.contract, body text);
  create table crm.exchange (id bigint primary key, customer_id bigint references crm.customer, body text);
  create table crm.ticket (
    id bigint primary key, customer_id bigint references crm.customer, status text not null
  );
  create table crm.message (id bigint primary key, ticket_id bigint references crm.ticket, body text);
  create table crm.survey (id bigint primary key, ticket_id bigint references crm.ticket, sent_on date);
  create index on crm.contract (customer_id);
  create index on crm.exchange (customer_id);
  create index on crm.ticket (customer_id);
  create index on crm.message (ticket_id);
  create index on crm.amendment (contract_id);
  create schema site;
  create table site.visit (id bigint primary key, recorded_on date, kind text not null);
  create table site.page (id bigint primary key, visit_id bigint references site.visit, path text);
  create table site.alert (id bigint primary key, visit_id bigint references site.visit, raised_on date);
  create index on site.page (visit_id);
  create table site.event (
    id bigint, region text, recorded_on date, primary key (id, region)
  ) partition by list (region);
  create table site.event_north partition of site.event for values in ('north');
  create table site.event_south partition of site.event for values in ('south');
  create table site.echo (
    id bigint primary key, event_id bigint, region text,
    foreign key (event_id, region) references site.event on update cascade
  );
  create index on site.echo (event_id, region);
  create schema bank;
  create table bank.account (id bigint primary key, number bigint not null unique, iban text);
  create table bank.movement (id bigint primary key, number bigint not null, booked_on date);
  create schema law;
  create table law.party (id bigint primary key, name text not null);
  create table law.matter (id bigint primary key, party_id bigint references law.party, opened_on date);
  create table law.step (id bigint primary key, matter_id bigint references law.matter, done_on date);
  create table law.fee (
    id bigint primary key, party_id bigint references law.party, state text not null, paid_on date
  );
  create index on law.matter (party_id);
  create index on law.step (matter_id);
  create index on law.fee (party_id);
  create schema post;
  create table post.parcel (id bigint primary key, receiver text not null);
  create table post.label (
    id bigint primary key, code bigint not null, parcel_id bigint references post.parcel, printed_on date
  );
  create table post.scan (id bigint primary key, code bigint not null, read_on date);
  create index on post.label (parcel_id);
  create index on post.scan (code);
  insert into law.party values (${DONOR}, 'Donor');
  insert into law.matter values (${DONOR}, ${DONOR}, ${OLD});
  insert into law.step values (${DONOR}, ${DONOR}, null);
  insert into law.fee values (${DONOR}, ${DONOR}, 'due', ${OLD});
  insert into post.parcel values (${DONOR}, 'Donor');
  insert into post.label values (${DONOR}, ${DONOR}, ${DONOR}, ${OLD});
  insert into post.scan values (${DONOR}, ${DONOR}, current_date);
  insert into crm.customer values (${DONOR}, 'Donor', 'donor@example.org', '0');
  insert into crm.contract values (${DONOR}, ${DONOR}, 'active', null);
  insert into crm.ticket values (${DONOR}, ${DONOR}, 'open');
  insert into site.visit values (${DONOR}, current_date, 'visit');
  insert into site.event values (${DONOR}, 'north', current_date);
  insert into bank.account values (${DONOR}, ${DONOR}, '0');
  insert into bank.movement values (${DONOR}, ${DONOR}, current_date);`

const RULES = {
  customer: `
  - id: customer
    title: Customers
    table: crm.customer
    start: { latest: crm.contract.ended_on, by: { customer_id: id }, open: { state: active } }
    keep: 10 years
    then:
      anonymise: { full_name: { constant: Nobody }, email: { template: "{key}@nobody.invalid" }, phone: nothing }
    references: { crm.contract: own_rule, crm.exchange: with_parent, crm.ticket: own_rule }`,
  ticket: `
  - id: ticket
    title: Tickets
    table: crm.ticket
    where: { status: closed }
    start: { latest: crm.contract.ended_on, via: crm.customer, by: { customer_id: customer_id }, open: { state: active } }
    keep: 5 years
    then: purge
    references: { crm.message: with_parent, crm.survey: own_rule }`,
  contract: `
  - id: contract
    title: Contracts
    table: crm.contract
    start: { latest: crm.contract.ended_on, via: crm.customer, by: { customer_id: customer_id }, open: { state: active } }
    keep: 10 years
    then: purge
    references: { crm.amendment: with_parent }`,
  visit: `
  - id: visit
    title: Visits
    table: site.visit
    where: { kind: visit }
    start: recorded_on
    keep: 12 months
    then: purge
    references: { site.page: with_parent, site.alert: own_rule }`,
  event: `
  - id: event
    title: Events
    table: site.event
    start: recorded_on
    keep: 12 months
    then: purge
    references: { site.echo: with_parent }`,
  account: `
  - id: account
    title: Accounts
    table: bank.account
    start: { latest: bank.movement.booked_on, by: { number: number } }
    keep: 10 years
    then: purge`,
  party: `
  - id: party
    title: Parties
    table: law.party
    start:
      latest:
        - { column: law.step.done_on, by: [{ matter_id: law.matter.id }, { party_id: id }] }
        - { column: law.fee.paid_on, open: { state: due } }
      by: { party_id: id }
    keep: 10 years
    then: { anonymise: { name: { constant: Nobody } } }
    references: { law.matter: own_rule, law.fee: own_rule }`,
  parcel: `
  - id: parcel
    title: Parcels
    table: post.parcel
    start: { latest: post.scan.read_on, by: [{ code: post.label.code }, { parcel_id: id }] }
    keep: 10 years
    then: { anonymise: { receiver: { constant: Nobody } } }
    references: { post.label: own_rule }`,
  member: CLUB_RULE,
  matter: `
  - id: matter
    title: Matters
    table: law.matter
    start: opened_on
    keep: 100 years
    then: purge
    references: { law.step: with_parent }`,
  fee: `
  - id: fee
    title: Fees
    table: law.fee
    start: paid_on
    keep: 100 years
    then: purge`,
  label: `
  - id: label
    title: Labels
    table: post.label
    start: printed_on
    keep: 100 years
    then: purge`,
  survey: `
  - id: survey
    title: Surveys
    table: crm.survey
    start: sent_on
    keep: 100 years
    then: purge`,
  alert: `
  - id: alert
    title: Alerts
    table: site.alert
    start: raised_on
    keep: 100 years
    then: purge`,
} as const

export const CLASSES = [
  'customer',
  'ticket',
  'contract',
  'visit',
  'event',
  'account',
  'party',
  'parcel',
  'member',
] as const

export type RuleId = (typeof CLASSES)[number]

/** The rules a rule needs beside it, so that its `own_rule` tables have one. */
const COMPANIONS: Readonly<Record<RuleId, readonly (keyof typeof RULES)[]>> = {
  customer: ['ticket', 'contract', 'survey'],
  ticket: ['survey'],
  contract: [],
  visit: ['alert'],
  event: [],
  account: [],
  party: ['matter', 'fee'],
  parcel: ['label'],
  member: [],
}

/** A policy in which `acting` are enforced, and their companions only reported. */
export function policyOf(acting: readonly RuleId[], batchRows: number): string {
  const all = new Set<keyof typeof RULES>(acting.flatMap((id) => [id, ...COMPANIONS[id]]))
  const isActing = new Set<string>(acting)
  const rules = [...all].map(
    (id) => `${RULES[id]}\n    mode: ${isActing.has(id) ? 'enforce' : 'report'}`,
  )
  return `
version: 1
policy: application
title: Application
owner: DPO
timezone: Europe/Paris
defaults: { limits: { max_rows: 1000000, max_percent: 100 }, batch: { rows: ${batchRows} }, pace: { share: 100 } }
rules:${rules.join('')}
`
}

/** Makes the tables and `count` records of each class, all due, with ids from 1. */
export async function openApplication(bed: Bed, count: number): Promise<void> {
  await bed.run(SCHEMA)
  // Ids of other tables are those of their record, then a thousandfold and a number.
  await bed.run(`
    ${clubRows(count)}
    insert into crm.customer
    select n, 'Name ' || n, 'e' || n || '@example.org', '01' from generate_series(1, ${count}) as n;
    insert into crm.contract
    select n * 1000 + k, n, 'ended', date ${OLD} + k from generate_series(1, ${count}) as n, generate_series(1, 2) as k;
    insert into crm.amendment
    select n * 1000 + 1, n * 1000 + 1, 'a' from generate_series(1, ${count}) as n;
    insert into crm.exchange
    select n * 1000 + k, n, 'e' from generate_series(1, ${count}) as n, generate_series(1, 2) as k;
    insert into crm.ticket select n, n, 'closed' from generate_series(1, ${count}) as n;
    insert into crm.message
    select n * 1000 + k, n, 'm' from generate_series(1, ${count}) as n, generate_series(1, 2) as k;
    insert into site.visit select n, ${OLD}, 'visit' from generate_series(1, ${count}) as n;
    insert into site.page
    select n * 1000 + k, n, 'p' from generate_series(1, ${count}) as n, generate_series(1, 2) as k;
    insert into site.event
    select n, case n % 2 when 0 then 'north' else 'south' end, ${OLD} from generate_series(1, ${count}) as n;
    insert into site.echo
    select id * 1000 + k, id, region from site.event, generate_series(1, 2) as k where id > 0;
    insert into law.party select n, 'Name ' || n from generate_series(1, ${count}) as n;
    insert into law.matter
    select n * 1000 + k, n, ${OLD} from generate_series(1, ${count}) as n, generate_series(1, 2) as k;
    insert into law.step
    select n * 1000 + k, n * 1000 + k, date ${OLD} + k from generate_series(1, ${count}) as n, generate_series(1, 2) as k;
    insert into law.fee select n * 1000 + 1, n, 'paid', ${OLD} from generate_series(1, ${count}) as n;
    insert into post.parcel select n, 'Name ' || n from generate_series(1, ${count}) as n;
    insert into post.label select n, n, n, ${OLD} from generate_series(1, ${count}) as n;
    insert into post.scan
    select n * 1000 + k, n, ${OLD} from generate_series(1, ${count}) as n, generate_series(1, 2) as k;
    insert into bank.account select n, n, 'i' from generate_series(1, ${count}) as n;
    insert into bank.movement select n, n, ${OLD} from generate_series(1, ${count}) as n`)
}
