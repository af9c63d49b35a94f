create schema shop;
create table shop.account (
  id bigint primary key, login text not null unique, name text, last_login_at timestamptz, registered bigint,
  imported_on date
);
create table shop.purchase (
  id bigint primary key, account_id bigint references shop.account, created_at timestamptz
);
-- 2 bought something today, 3 did nothing ever, 4 registered today, 5 logged in today
insert into shop.account values
  (1, 'a', 'A', '2005-01-01', 1104537600, null), (2, 'b', 'B', '2005-01-01', 1104537600, null),
  (3, 'c', 'C', null, null, '2005-01-01'), (4, 'd', 'D', null, extract(epoch from now()), '2005-01-01'),
  (5, 'e', 'E', now(), 1104537600, '2005-01-01');
insert into shop.purchase values (10, 1, '2005-01-01'), (20, 2, '2005-01-01'), (21, 2, now());
-- changed: shop.account 1, 3
-- gone: shop.purchase 10
