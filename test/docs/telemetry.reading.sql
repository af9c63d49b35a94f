create schema plant;
create schema legacy;
create table plant.reading (id bigint primary key, clock bigint);
create table plant.message (id uuid primary key);
create table legacy.visit (id bigint primary key, visited text);
-- 3 counts milliseconds
insert into plant.reading values
  (1, 1104537600), (2, extract(epoch from now())), (3, 1104537600000);
-- made in 2005, today, and at random
insert into plant.message values
  ('01012b92-4000-7000-8000-000000000001'),
  ((
    lpad(to_hex((extract(epoch from now()) * 1000)::bigint), 12, '0') || '70008000000000000002'
  )::uuid),
  ('01012b92-4000-4000-8000-000000000003');
insert into legacy.visit values
  (1, '31.12.2005'), (2, to_char(now(), 'DD.MM.YYYY')), (3, '2005-12-31'), (4, ''), (5, '12/31/2005');
-- gone: plant.reading 1
-- gone: plant.message 01012b92-4000-7000-8000-000000000001
-- gone: legacy.visit 1
