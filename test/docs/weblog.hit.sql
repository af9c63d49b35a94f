create schema web;
create table web.hit (id bigint, at date, primary key (id, at)) partition by range (at);
create table web.hit_2020 partition of web.hit for values from ('2020-01-01') to ('2021-01-01');
create table web.hit_2021 partition of web.hit for values from ('2021-01-01') to ('2100-01-01');
insert into web.hit values (1, '2020-01-10'), (2, '2020-02-10'), (3, '2021-02-10'), (4, current_date);
-- gone: web.hit_2020 1/2020-01-10, 2/2020-02-10
-- gone: web.hit_2021 3/2021-02-10
