create schema support;
create table support.ticket (id bigint primary key, status text, closed_at date);
create table support.message (id bigint primary key, ticket_id bigint references support.ticket);
create table support.survey (id bigint primary key, answered_on date);
-- 3 is not closed, 4 is open, 5 is not known, 6 is older than the software
insert into support.ticket values
  (1, 'closed', '2005-01-01'), (2, 'closed', current_date), (3, 'new', '2005-01-01'),
  (4, 'closed', '9999-12-31'), (5, 'closed', '1970-01-01'), (6, 'closed', '2004-05-31');
-- the floor of the example
insert into support.ticket select id, 'closed', current_date from generate_series(1001, 2100) as id;
insert into support.message values (10, 1), (11, 1), (20, 2), (60, 6);
insert into support.survey values (1, '2005-01-01'), (2, current_date);
-- gone: support.ticket 1
-- gone: support.message 10, 11
-- gone: support.survey 1
