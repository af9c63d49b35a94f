create schema hr;
create table hr.application (
  id bigint primary key, status text, salary_asked int, consent text, consent_level int, referred_by text,
  talent_pool boolean, received_on date
);
create table hr.decision (
  id bigint primary key, application_id bigint references hr.application, decided_on date
);
-- 3 has no status, which is neither hired nor open; 7 was never decided and counts from its receipt
insert into hr.application values
  (1, 'rejected', 1000, null, null, null, false, '2005-01-01'),
  (2, 'open', 1000, null, null, null, false, '2005-01-01'),
  (3, null, 1000, 'yes', 2, null, null, '2005-01-01'),
  (4, 'rejected', 0, null, null, null, false, '2005-01-01'),
  (5, 'rejected', 1000, null, null, null, true, '2005-01-01'),
  (6, 'rejected', 1000, 'yes', 3, null, false, '2005-01-01'),
  (7, 'rejected', 1000, null, null, null, false, '2005-01-01'),
  (8, 'rejected', 1000, null, null, null, false, '2005-01-01');
insert into hr.decision
select 10 * id, id, case id when 8 then current_date else date '2005-02-01' end
from hr.application where id <> 7;
-- gone: hr.application 1, 3, 7
-- gone: hr.decision 10, 30
