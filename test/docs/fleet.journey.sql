create schema fleet;
create table fleet.journey (id bigint primary key, ended_on date);
create table fleet.journey_abroad (primary key (id)) inherits (fleet.journey);
insert into fleet.journey values (1, '2005-01-01'), (2, current_date);
-- 4 would be gone with its parent's rows
insert into fleet.journey_abroad values (3, '2005-01-01'), (4, current_date - 4 * 365);
-- gone: fleet.journey 1
-- gone: fleet.journey_abroad 3
