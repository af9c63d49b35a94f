-- What:  the leaf hashes of entries that were archived, and the function that takes their bodies away.
-- Why:   a journal is kept for as long as it may have to prove something, and not for ever. What remains
--        of an archived entry is its leaf hash, so that every root and every proof can still be computed,
--        and that whoever has the archive can show that nothing else was in its place.
-- Locks: creates objects in the schema retentiond, and replaces a trigger of the journal: a writer of
--        entries waits for that moment. The index takes a share lock on the journal while it is built.
-- Runs:  as the owner of the schema; the roles as in 0001.

create table retentiond.archived_leaf (
  seq       bigint primary key check (seq >= 0),
  leaf_hash bytea  not null check (octet_length(leaf_hash) = 32)
);

create trigger deny_change before update or delete on retentiond.archived_leaf
  for each row execute function retentiond.deny();
create trigger deny_truncate before truncate on retentiond.archived_leaf
  for each statement execute function retentiond.deny();
create trigger only_owner before insert on retentiond.archived_leaf
  for each row execute function retentiond.only_owner();

-- As only_owner(), for an entry that goes: not without its leaf hash in place.
create function retentiond.only_archived()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (
    select
    from pg_namespace
    join retentiond.archived_leaf on seq = old.seq and leaf_hash = old.leaf_hash
    where nspname = tg_table_schema
      and pg_get_userbyid(nspowner) = current_user
  ) then
    raise exception 'retentiond.% is append-only, and archived by retentiond.archive() only', tg_table_name
      using errcode = '42501';
  end if;
  return old;
end $$;

drop trigger deny_change on retentiond.entry;
create trigger deny_change before update on retentiond.entry
  for each row execute function retentiond.deny();
create trigger only_archived before delete on retentiond.entry
  for each row execute function retentiond.only_archived();

-- ALWAYS: an ordinary trigger is asleep in a session with session_replication_role = replica.
alter table retentiond.archived_leaf enable always trigger deny_change;
alter table retentiond.archived_leaf enable always trigger deny_truncate;
alter table retentiond.archived_leaf enable always trigger only_owner;
alter table retentiond.entry enable always trigger deny_change;
alter table retentiond.entry enable always trigger only_archived;

create view retentiond.leaf as
  select seq, leaf_hash from retentiond.entry
  union all
  select seq, leaf_hash from retentiond.archived_leaf;

create index entry_archived on retentiond.entry (seq)
  where substring(body from 1 for 23) = '{"v":1,"type":"archived'::bytea;
create view retentiond.archived_entry as
  select seq, body, sig, leaf_hash
  from retentiond.entry
  where substring(body from 1 for 23) = '{"v":1,"type":"archived'::bytea;

-- What may be archived. Everything else stays: it is little, and says what the rest rests on.
create view retentiond.archivable_entry as
  select seq, leaf_hash
  from retentiond.entry
  where substring(body from 1 for 20) = '{"v":1,"type":"batch'::bytea
    or substring(body from 1 for 18) = '{"v":1,"type":"run'::bytea
    or substring(body from 1 for 24) = '{"v":1,"type":"heartbeat'::bytea;

-- As in 0004, of leaves whose entries may be archived.
create or replace function retentiond.subtree(p_level smallint, p_index bigint)
returns bytea
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  found_hash bytea;
begin
  if p_level = 0 then
    select leaf_hash into found_hash from retentiond.leaf where seq = p_index;
    return found_hash;
  end if;
  select hash into found_hash from retentiond.node where level = p_level and index = p_index;
  return coalesce(
    found_hash,
    sha256(
      '\x01'::bytea
        || retentiond.subtree((p_level - 1)::smallint, p_index * 2)
        || retentiond.subtree((p_level - 1)::smallint, p_index * 2 + 1)
    )
  );
end $$;

-- Takes away the batches, runs and heartbeats from p_from to p_to with their tokens, and says how many entries
-- went. The newest entry must say so, and they must lie behind a checkpoint; its last entry stays, for
-- whoever goes on from there. What was archived before and came back with a restored backup goes as well.
-- Not security definer: whoever may not become the owner may not archive.
create function retentiond.archive(p_from bigint, p_to bigint, p_size bigint)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  said jsonb;
  gone bigint;
begin
  select convert_from(body, 'UTF8')::jsonb into said
    from retentiond.archived_entry
    where seq = (select size - 1 from retentiond.head where one);
  if said is null
    or (said ->> 'from')::bigint <> p_from
    or (said ->> 'to')::bigint <> p_to
    or (said ->> 'size')::bigint <> p_size
    or p_to > p_size - 2
    or not exists (select from retentiond.checkpoint where size = p_size)
  then
    raise exception 'nothing is archived that no entry and no checkpoint speaks of'
      using errcode = '42501';
  end if;
  insert into retentiond.archived_leaf (seq, leaf_hash)
    select seq, leaf_hash from retentiond.archivable_entry where seq <= p_to
    on conflict (seq) do nothing;
  delete from retentiond.evidence
    using retentiond.archived_leaf
    where evidence.seq = archived_leaf.seq and evidence.seq <= p_to;
  with taken as (
    delete from retentiond.entry
    using retentiond.archived_leaf
    where entry.seq = archived_leaf.seq and entry.seq <= p_to
    returning entry.seq
  )
  select count(*) into gone from taken where seq >= p_from;
  if gone <> (said ->> 'entries')::bigint then
    raise exception 'the entry speaks of other entries than those that are there' using errcode = '42501';
  end if;
  return gone;
end $$;

revoke all on function retentiond.only_archived() from public;
revoke all on function retentiond.archive(bigint, bigint, bigint) from public;

do $$
declare
  daemon  constant text := current_setting('retentiond.daemon_role');
  auditor constant text := current_setting('retentiond.auditor_role');
begin
  execute format(
    'grant select on retentiond.archived_leaf, retentiond.leaf, retentiond.archived_entry,
       retentiond.archivable_entry
     to %I, %I',
    daemon, auditor
  );
end $$;
