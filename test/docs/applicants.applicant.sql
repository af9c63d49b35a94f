create schema hr;
create table hr.applicant (id bigint primary key, full_name text, email text, decided_on date, school text);
-- 1 is beyond both phases, 2 beyond the first
insert into hr.applicant values
  (1, 'A', 'a@example.org', '2005-01-01', 'X'), (2, 'B', 'b@example.org', current_date - 3 * 366, 'X'),
  (3, 'C', 'c@example.org', current_date, 'X');
-- gone: hr.applicant 1
-- changed: hr.applicant 2
