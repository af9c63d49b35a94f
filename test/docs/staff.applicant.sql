create schema hr;
create table hr.applicant (
  id bigint primary key, full_name text not null, notes text, decided_on date, updated_at timestamptz
);
create table hr.interview (id bigint primary key, applicant_id bigint references hr.applicant);
create function hr.touch() returns trigger language plpgsql as
  'begin new.updated_at := now(); return new; end';
create function hr.log() returns trigger language plpgsql as 'begin return old; end';
create trigger touch_updated_at before update on hr.applicant for each row execute function hr.touch();
create trigger log_removal after delete on hr.interview for each row execute function hr.log();
insert into hr.applicant values
  (1, 'A', 'a', '2005-01-01', now()), (2, 'B', 'b', current_date, now()), (3, 'C', 'c', null, now());
insert into hr.interview values (10, 1), (20, 2);
-- changed: hr.applicant 1
-- gone: hr.interview 10
