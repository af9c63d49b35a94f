-- What:  the holds that persons place and lift, with their guards, and the right to close them for
--        the length of a batch.
-- Why:   a hold wins over everything, so it must be known to the transaction that acts: it lives
--        beside the data, and a batch closes the table to writers before it decides.
-- Locks: creates objects in the schema retentiond and touches nothing else; no session of an
--        application can wait for it.
-- Runs:  as the owner of the schema. The names of the other roles come in the settings
--        retentiond.daemon_role and retentiond.keeper_role of the migrating transaction.

-- A case of digits only would be taken for the number of a hold. The table goes by oid and by name:
-- a renamed table keeps its oid, and a restored one its name.
create table retentiond.hold (
  id             bigint      primary key generated always as identity,
  case_reference text        not null
    check (case_reference ~ '[^0-9]' and length(case_reference) <= 200),
  scope          text        not null check (scope in ('rule', 'subject', 'row')),
  rule           text        check ((rule is not null) = (scope = 'rule')),
  table_oid      oid         check ((table_oid is not null) = (scope = 'row')),
  table_name     text        check ((table_name is not null) = (scope = 'row')),
  key_columns    text[]      check ((key_columns is not null) = (scope = 'row')),
  subject        text,
  key            text[],
  until          date,
  placed_at      timestamptz not null,
  lifted_at      timestamptz,
  -- A lifted hold has no need to know whom it was about.
  check ((subject is not null) = (scope = 'subject' and lifted_at is null)),
  check ((key is not null) = (scope = 'row' and lifted_at is null)),
  check (cardinality(key) = cardinality(key_columns))
);

create index hold_open on retentiond.hold (scope) where lifted_at is null;

-- The one change of a hold is its lifting, once; the instants are the database's.
create function retentiond.only_lift()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'INSERT' then
    new.placed_at := clock_timestamp();
    new.lifted_at := null;
    return new;
  end if;
  new.lifted_at := clock_timestamp();
  new.subject := null;
  new.key := null;
  if old.lifted_at is not null
    or (to_jsonb(new) - array['lifted_at', 'subject', 'key'])
      <> (to_jsonb(old) - array['lifted_at', 'subject', 'key'])
  then
    raise exception 'retentiond.hold is append-only but for lifting: update refused'
      using errcode = '42501';
  end if;
  return new;
end $$;

create trigger only_lift before insert or update on retentiond.hold
  for each row execute function retentiond.only_lift();
create trigger deny_delete before delete on retentiond.hold
  for each row execute function retentiond.deny();
create trigger deny_truncate before truncate on retentiond.hold
  for each statement execute function retentiond.deny();

-- ALWAYS: an ordinary trigger is asleep in a session with session_replication_role = replica.
alter table retentiond.hold enable always trigger only_lift;
alter table retentiond.hold enable always trigger deny_delete;
alter table retentiond.hold enable always trigger deny_truncate;

-- Keeps holds from being placed and lifted until the transaction ends. A share lock asks for the
-- right to change rows, which the daemon must not have.
create function retentiond.close_holds()
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  lock table retentiond.hold in share mode;
end $$;

revoke all on function retentiond.only_lift() from public;
revoke all on function retentiond.close_holds() from public;

-- Neither the auditor nor the daemon may change a hold, and the auditor does not see one: it names
-- a key or a subject. The journal says that it was placed and lifted.
do $$
declare
  daemon constant text := current_setting('retentiond.daemon_role');
  keeper constant text := current_setting('retentiond.keeper_role');
begin
  execute format('grant usage on schema retentiond to %I', keeper);
  execute format('grant select on retentiond.hold to %I, %I', daemon, keeper);
  execute format('grant insert on retentiond.hold to %I', keeper);
  execute format('grant update (lifted_at) on retentiond.hold to %I', keeper);
  execute format('grant execute on function retentiond.close_holds() to %I', daemon);
  execute format('grant select on retentiond.migration, retentiond.head to %I', keeper);
  execute format('grant execute on function retentiond.lock_head() to %I', keeper);
  execute format(
    'grant execute on function retentiond.append(bigint, bytea, timestamptz, bytea, bytea) to %I',
    keeper
  );
end $$;
