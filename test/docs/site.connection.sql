create schema site;
create table site.connection (id bigint primary key, recorded_at timestamptz not null, ip inet);
insert into site.connection values (1, '2005-01-01', '203.0.113.7'), (2, now(), '203.0.113.7');
-- gone: site.connection 1
