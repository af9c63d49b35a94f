-- What:  the journal (head, entry, log) with its guards, and the working tables of the daemon
--        (lease, anonymised).
-- Why:   a purge and its journal entry commit together, so the journal lives beside the data. Its
--        rows are written by two functions only; the triggers stop accidents and ordinary roles.
--        A superuser can walk through all of it, and only a comparison with something kept outside
--        the database shows that (docs/journal-format.md).
-- Locks: creates objects in the schema retentiond and touches nothing else; no session of an
--        application can wait for it.
-- Runs:  as the owner of the schema. The names of the other two roles come in the settings
--        retentiond.daemon_role and retentiond.auditor_role of the migrating transaction.

-- One row, locked last in a transaction, gives out the sequence numbers: a database sequence would
-- lose a number on each rollback, and a lost number looks like a deleted entry.
create table retentiond.head (
  one       boolean     primary key default true check (one),
  origin    text        not null check (origin ~ '^[^\s+]+$'),
  size      bigint      not null check (size >= 0),
  last_hash bytea       not null check (octet_length(last_hash) = 32),
  last_time timestamptz not null
) with (fillfactor = 10);

-- The body is bytea and never jsonb, which would reorder keys and drop repeated ones: what was
-- signed is what is kept. 65535 is the limit of tlog-tiles; sig is a key id (4) and Ed25519 (64).
create table retentiond.entry (
  seq       bigint primary key check (seq >= 0),
  body      bytea  not null check (octet_length(body) between 2 and 65535),
  sig       bytea  not null check (octet_length(sig) = 68),
  leaf_hash bytea  not null generated always as (sha256('\x00'::bytea || body)) stored
);

-- Every body begins with {"v":1,"type":" and its type. Policies and runs are few among the batches,
-- and looked up by the daemon at each start.
create index entry_policy on retentiond.entry (seq)
  where substring(body from 1 for 21) = '{"v":1,"type":"policy'::bytea;
create index entry_run on retentiond.entry (seq)
  where substring(body from 1 for 18) = '{"v":1,"type":"run'::bytea;

-- The right to enforce on this database; the token grows with every take-over.
create table retentiond.lease (
  one         boolean     primary key default true check (one),
  token       bigint      not null check (token >= 0),
  holder      text,
  acquired_at timestamptz,
  expires_at  timestamptz
) with (fillfactor = 10);

insert into retentiond.lease (one, token) values (true, 0);

-- Rows that were anonymised and are still there, by their plain keys. It goes when the row goes.
create table retentiond.anonymised (
  table_oid   oid    not null,
  key         text[] not null,
  rule        text   not null,
  mask_digest text   not null,
  seq         bigint not null,
  primary key (table_oid, rule, key)
);

create function retentiond.deny()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception 'retentiond.% is append-only: % refused', tg_table_name, lower(tg_op)
    using errcode = '42501';
end $$;

-- The owner is read from the catalog: role names are chosen per database.
create function retentiond.only_owner()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (
    select
    from pg_namespace
    where nspname = tg_table_schema
      and pg_get_userbyid(nspowner) = current_user
  ) then
    raise exception 'retentiond.% is written by retentiond.append() only', tg_table_name
      using errcode = '42501';
  end if;
  return new;
end $$;

create trigger deny_change before update or delete on retentiond.entry
  for each row execute function retentiond.deny();
create trigger deny_truncate before truncate on retentiond.entry
  for each statement execute function retentiond.deny();
create trigger only_owner before insert on retentiond.entry
  for each row execute function retentiond.only_owner();
create trigger deny_delete before delete on retentiond.head
  for each row execute function retentiond.deny();
create trigger deny_truncate before truncate on retentiond.head
  for each statement execute function retentiond.deny();
create trigger only_owner before insert or update on retentiond.head
  for each row execute function retentiond.only_owner();

-- ALWAYS: an ordinary trigger is asleep in a session with session_replication_role = replica.
do $$
declare
  guard record;
begin
  for guard in
    select pg_class.relname, pg_trigger.tgname
    from pg_catalog.pg_trigger
    join pg_catalog.pg_class on pg_class.oid = pg_trigger.tgrelid
    where pg_class.relnamespace = 'retentiond'::regnamespace
      and not pg_trigger.tgisinternal
  loop
    execute format(
      'alter table retentiond.%I enable always trigger %I', guard.relname, guard.tgname
    );
  end loop;
end $$;

-- Where the database stands. It explains a restore to a reader, and proves nothing.
create function retentiond.database_position()
returns table (lsn pg_lsn, xid xid8, tli text, sysid text)
language sql
set search_path = pg_catalog, pg_temp
as $$
  select
    pg_current_wal_insert_lsn(),
    pg_current_xact_id(),
    substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
    (select system_identifier::text from pg_control_system())
$$;

-- Takes the one lock that orders the journal: to be called last before the commit, since every
-- other writer waits from here on. The daemon has no right to update the head, and so could not
-- say "for update" itself. No row: no journal was opened here.
create function retentiond.lock_head()
returns table (
  origin text, size bigint, last_hash bytea, at timestamptz,
  lsn pg_lsn, xid xid8, tli text, sysid text
)
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
  with locked as (
    select head.origin, head.size, head.last_hash, head.last_time
    from retentiond.head
    where head.one
    for update
  )
  select
    locked.origin, locked.size, locked.last_hash, greatest(clock_timestamp(), locked.last_time),
    place.lsn, place.xid, place.tli, place.sysid
  from locked
  cross join lateral retentiond.database_position() as place
$$;

-- Appends one entry if the head is where the writer saw it, and returns the leaf hash.
create function retentiond.append(
  p_seq bigint, p_prev bytea, p_at timestamptz, p_body bytea, p_sig bytea
)
returns bytea
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  place retentiond.head;
  leaf bytea;
begin
  select * into strict place from retentiond.head where one for update;
  if place.size <> p_seq or place.last_hash <> p_prev or p_at < place.last_time then
    raise exception 'the head of the journal is at %, not %', place.size, p_seq
      using errcode = '40001';
  end if;
  insert into retentiond.entry (seq, body, sig) values (p_seq, p_body, p_sig)
    returning leaf_hash into leaf;
  update retentiond.head set size = size + 1, last_hash = leaf, last_time = p_at where one;
  return leaf;
end $$;

-- Begins the journal: the head, and entry 0. Once; the owner only. Not security definer: whoever
-- may not become the owner may not begin a journal.
create function retentiond.open_log(p_origin text, p_body bytea, p_sig bytea)
returns bytea
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  leaf bytea;
begin
  if exists (select from retentiond.head) or exists (select from retentiond.entry) then
    raise exception 'a journal was opened here before' using errcode = '42710';
  end if;
  insert into retentiond.entry (seq, body, sig) values (0, p_body, p_sig)
    returning leaf_hash into leaf;
  insert into retentiond.head (origin, size, last_hash, last_time)
    values (p_origin, 1, leaf, (convert_from(p_body, 'UTF8')::jsonb ->> 'time')::timestamptz);
  return leaf;
end $$;

-- For people and their tools; the proof is in the bytes of retentiond.entry.
create view retentiond.log as
  select seq, convert_from(body, 'UTF8')::jsonb as entry, encode(leaf_hash, 'hex') as leaf
  from retentiond.entry;

-- What the daemon looks up, spelled once, as the indexes above spell it.
create view retentiond.policy_entry as
  select seq, body, sig, leaf_hash
  from retentiond.entry
  where substring(body from 1 for 21) = '{"v":1,"type":"policy'::bytea;
create view retentiond.run_entry as
  select seq, body, sig, leaf_hash
  from retentiond.entry
  where substring(body from 1 for 18) = '{"v":1,"type":"run'::bytea;

revoke all on all functions in schema retentiond from public;

-- The auditor does not see retentiond.anonymised: it holds keys of governed rows.
do $$
declare
  daemon  constant text := current_setting('retentiond.daemon_role');
  auditor constant text := current_setting('retentiond.auditor_role');
begin
  execute format('grant usage on schema retentiond to %I, %I', daemon, auditor);
  execute format('grant select on all tables in schema retentiond to %I, %I', daemon, auditor);
  execute format('revoke select on retentiond.anonymised from %I', auditor);
  execute format('grant update on retentiond.lease to %I', daemon);
  execute format('grant insert, update, delete on retentiond.anonymised to %I', daemon);
  execute format('grant execute on function retentiond.lock_head() to %I', daemon);
  execute format(
    'grant execute on function retentiond.append(bigint, bytea, timestamptz, bytea, bytea) to %I',
    daemon
  );
end $$;
