create schema crm;
create schema billing;
create table crm.client (id bigint primary key, name text);
create table crm.contract (id bigint primary key, client_id bigint references crm.client, ended_on date);
create table billing.invoice (
  id bigint primary key, contract_id bigint references crm.contract, state text, paid_at timestamp
);
insert into crm.client select id, 'Name' from generate_series(1, 4) as id;
insert into crm.contract select 10 * id, id, '2005-01-01' from crm.client where id < 4;
-- 2 has yet to pay, 3 paid today, 4 is no client yet
insert into billing.invoice values
  (100, 10, 'paid', '2005-02-01'), (200, 20, 'unpaid', '2005-02-01'), (300, 30, 'paid', now());
-- changed: crm.client 1
-- gone: crm.contract 10
-- gone: billing.invoice 100
