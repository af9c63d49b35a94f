create schema crm;
create table crm.customer (
  id bigint primary key, full_name text not null, email text not null unique, phone text, country text
);
create table crm.contract (
  id bigint primary key, customer_id bigint references crm.customer, status text, ended_on date
);
create table crm.note (id bigint primary key, customer_id bigint references crm.customer, body text);
insert into crm.customer
select id, 'Name', 'person' || id || '@example.org', '1', 'FR' from generate_series(1, 6) as id;
-- 2 is active, 3 has no end, 4 has the day that means no end, 6 has no contract
insert into crm.contract values
  (10, 1, 'ended', '2005-01-01'), (11, 1, 'ended', '2001-01-01'),
  (20, 2, 'ended', '2005-01-01'), (21, 2, 'active', '2005-01-01'),
  (30, 3, 'ended', '2005-01-01'), (31, 3, 'ended', null),
  (40, 4, 'ended', '9999-12-31'), (50, 5, 'ended', current_date), (51, 5, 'ended', '2005-01-01');
insert into crm.note select 10 * id, id, 'note' from crm.customer;
-- changed: crm.customer 1
-- gone: crm.note 10
-- gone: crm.contract 10, 11
