create schema billing;
create table billing.invoice (id bigint primary key, issued_on date);
create table billing.invoice_line (id bigint primary key, invoice_id bigint references billing.invoice);
create table billing.payment (
  id bigint primary key, invoice_id bigint references billing.invoice, paid_on date
);
create table billing.dispute (id bigint primary key, invoice_id bigint references billing.invoice);
create table billing.reminder (id bigint primary key, invoice_id bigint references billing.invoice);
-- 2 was paid today, and waits for its payment to go; 4 is disputed
insert into billing.invoice values
  (1, '2005-01-01'), (2, '2005-01-01'), (3, current_date), (4, '2005-01-01');
insert into billing.invoice_line values (10, 1), (11, 1), (20, 2), (30, 3), (40, 4);
insert into billing.payment values (100, 1, '2005-01-01'), (200, 2, current_date), (201, 2, '2005-01-01');
insert into billing.dispute values (400, 4);
insert into billing.reminder values (1000, 1), (3000, 3);
-- gone: billing.invoice 1
-- gone: billing.invoice_line 10, 11
-- gone: billing.payment 100, 201
-- changed: billing.reminder 1000
