create schema crm;
create schema crm_archive;
create table crm.customer (id bigint primary key, full_name text);
create table crm.contract (id bigint primary key, customer_id bigint references crm.customer, ended_on date);
create table crm_archive.customer (like crm.customer, primary key (id));
create table crm_archive.contract (
  like crm.contract, primary key (id), foreign key (customer_id) references crm_archive.customer
);
-- 1 is beyond both phases, 2 beyond the first, 3 ended today
insert into crm.customer select id, 'Name' from generate_series(1, 3) as id;
insert into crm.contract values (10, 1, '2005-01-01'), (20, 2, current_date - 5 * 366), (30, 3, current_date);
-- gone: crm.customer 1, 2
-- gone: crm.contract 10, 20
