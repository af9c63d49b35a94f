create schema app;
create schema legacy;
create table app.login (id bigint primary key, at timestamptz);
create table legacy.login (id bigint primary key, logged_at timestamp);
insert into app.login values (1, '2005-01-01'), (2, now());
insert into legacy.login values (1, '2005-01-01'), (2, now()), (3, null);
-- gone: app.login 1
-- gone: legacy.login 1
