create schema shop;
create table shop.visit (id bigint primary key, at date not null);
insert into shop.visit values (1, '2005-01-01'), (2, current_date);
-- gone: shop.visit 1
