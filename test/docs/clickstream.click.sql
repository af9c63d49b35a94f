create schema web;
create table web.click (id bigint primary key, at timestamptz);
insert into web.click values (1, '2020-01-01'), (2, now()), (3, null);
-- gone: web.click 1
