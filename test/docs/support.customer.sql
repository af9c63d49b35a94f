create schema crm;
create schema billing;
create schema legal;
create table crm.customer (id bigint primary key, left_on date);
create table billing.invoice (
  fiscal_year int, number int, customer_id bigint references crm.customer, issued_on date,
  primary key (fiscal_year, number)
);
create table legal.litigation (
  id bigint primary key, customer_id bigint, invoice_year int, invoice_number int, closed_on date
);
insert into crm.customer select id, '2005-01-01' from generate_series(1, 4) as id;
insert into billing.invoice select 2005, id, id, '2005-01-01' from crm.customer;
-- a case against 2; one against 3 that is closed; one about the invoice of 4
insert into legal.litigation values
  (1, 2, null, null, null), (2, 3, null, null, '2010-01-01'), (3, null, 2005, 4, null);
-- gone: crm.customer 1, 3
-- gone: billing.invoice 2005/1, 2005/3
