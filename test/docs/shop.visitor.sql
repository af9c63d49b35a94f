create schema shop;
create table shop.visitor (
  id bigint primary key, last_seen_at timestamptz not null, login text not null unique, newsletter_id text,
  phone varchar(20), remarks text, born_on date, income int, home point, last_ip inet, profile jsonb,
  country text
);
insert into shop.visitor
select id, case id when 1 then timestamptz '2005-01-01' else now() end, 'login' || id, 'news', '+33612345678',
  'write to person@example.org', '1984-07-21', 43210, '(48.85661,2.35222)', '203.0.113.77',
  '{"name": "A", "address": "B", "orders": [{"remark": "c", "total": 1}]}', 'FR'
from generate_series(1, 2) as id;
-- changed: shop.visitor 1
