create schema shop;
create table shop.country (code text primary key, name text);
create table shop.customer (
  id bigint primary key, last_order_on date, full_name text, email text unique, loyalty_tier text
);
insert into shop.country values ('FR', 'France');
insert into shop.customer values
  (1, '2005-01-01', 'A', 'a@example.org', 'gold'), (2, current_date, 'B', 'b@example.org', 'gold');
-- changed: shop.customer 1
