create schema forum;
create table forum.member (
  id bigint primary key, role text, profile jsonb, deleted_at timestamptz, last_seen_on date
);
-- 3 asked for the newsletter, 4 is no guest, 5 was hidden by the application, 6 has no profile
insert into forum.member values
  (1, 'Guest', '{"newsletter": "no"}', null, '2005-01-01'), (2, 'guest', '{}', null, current_date),
  (3, 'guest', '{"newsletter": "yes"}', null, '2005-01-01'), (4, 'member', '{}', null, '2005-01-01'),
  (5, 'guest', '{}', now(), '2005-01-01'), (6, 'guest', null, null, '2005-01-01'),
  (7, null, '{}', null, '2005-01-01');
-- gone: forum.member 1, 5, 6
