create schema gallery;
create table gallery.guest (id bigint primary key, seen_on date, email text);
insert into gallery.guest values (1, '2005-01-01', 'a@example.org'), (2, current_date, 'b@example.org');
-- gone: gallery.guest 1
