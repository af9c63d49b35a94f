-- What:  the stored hashes of the journal's tree, and the checkpoints that were signed.
-- Why:   with the roots of all perfect subtrees at hand, the root and every proof cost a few rows
--        however long the journal is. They are a copy of what the entries say: verify computes
--        all of it from the entries again, and a proof that a wrong hash makes proves nothing.
-- Locks: creates objects in the schema retentiond. Reads the journal once, to store the hashes of
--        entries that are there; a writer of entries waits for it from the change of append() on.
-- Runs:  as the owner of the schema; the roles as in 0001.

-- The root of the perfect subtree over the entries index * 2^level to (index + 1) * 2^level - 1.
-- Level 0 is retentiond.entry itself.
create table retentiond.node (
  level smallint not null check (level between 1 and 62),
  index bigint   not null check (index >= 0),
  hash  bytea    not null check (octet_length(hash) = 32),
  primary key (level, index)
);

-- A checkpoint is stored once, with every signature it was published with.
create table retentiond.checkpoint (
  size bigint primary key check (size > 0),
  note text   not null check (octet_length(note) between 1 and 65535)
);

create trigger deny_change before update or delete on retentiond.node
  for each row execute function retentiond.deny();
create trigger deny_truncate before truncate on retentiond.node
  for each statement execute function retentiond.deny();
create trigger only_owner before insert on retentiond.node
  for each row execute function retentiond.only_owner();
create trigger deny_change before update or delete on retentiond.checkpoint
  for each row execute function retentiond.deny();
create trigger deny_truncate before truncate on retentiond.checkpoint
  for each statement execute function retentiond.deny();

-- ALWAYS: an ordinary trigger is asleep in a session with session_replication_role = replica.
alter table retentiond.node enable always trigger deny_change;
alter table retentiond.node enable always trigger deny_truncate;
alter table retentiond.node enable always trigger only_owner;
alter table retentiond.checkpoint enable always trigger deny_change;
alter table retentiond.checkpoint enable always trigger deny_truncate;

-- The root of a perfect subtree: as stored or, if it is not (an append that had begun before this
-- migration waited for it and stores none), from the two below. Null if entries are missing.
create function retentiond.subtree(p_level smallint, p_index bigint)
returns bytea
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  found_hash bytea;
begin
  if p_level = 0 then
    select leaf_hash into found_hash from retentiond.entry where seq = p_index;
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

-- Stores the subtrees that an entry completes, as a binary counter carries: one on the average. One
-- that is stored already ends the transaction: the entries that it stands for were cut off.
create function retentiond.grow(p_seq bigint, p_leaf bytea)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  at_level smallint := 0;
  at_index bigint := p_seq;
  grown bytea := p_leaf;
begin
  while at_index % 2 = 1 loop
    grown := sha256('\x01'::bytea || retentiond.subtree(at_level, at_index - 1) || grown);
    at_level := at_level + 1;
    at_index := at_index / 2;
    insert into retentiond.node (level, index, hash) values (at_level, at_index, grown);
  end loop;
end $$;

-- As in 0001, and the tree grows with it.
create or replace function retentiond.append(
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
  perform retentiond.grow(p_seq, leaf);
  update retentiond.head set size = size + 1, last_hash = leaf, last_time = p_at where one;
  return leaf;
end $$;

-- The hashes of the entries that are there already, level by level.
lock table retentiond.head in exclusive mode;
do $$
declare
  at_level smallint := 0;
  made bigint;
begin
  insert into retentiond.node (level, index, hash)
    select 1, one.seq / 2, sha256('\x01'::bytea || one.leaf_hash || other.leaf_hash)
    from retentiond.entry as one
    join retentiond.entry as other on other.seq = one.seq + 1
    where one.seq % 2 = 0;
  get diagnostics made = row_count;
  while made > 0 loop
    at_level := at_level + 1;
    insert into retentiond.node (level, index, hash)
      select at_level + 1, one.index / 2, sha256('\x01'::bytea || one.hash || other.hash)
      from retentiond.node as one
      join retentiond.node as other on other.level = one.level and other.index = one.index + 1
      where one.level = at_level and one.index % 2 = 0;
    get diagnostics made = row_count;
  end loop;
end $$;

create index entry_keys on retentiond.entry (seq)
  where substring(body from 1 for 19) = '{"v":1,"type":"keys'::bytea;

create view retentiond.keys_entry as
  select seq, body, sig, leaf_hash
  from retentiond.entry
  where substring(body from 1 for 19) = '{"v":1,"type":"keys'::bytea;

revoke all on function retentiond.subtree(smallint, bigint) from public;
revoke all on function retentiond.grow(bigint, bytea) from public;

do $$
declare
  daemon  constant text := current_setting('retentiond.daemon_role');
  auditor constant text := current_setting('retentiond.auditor_role');
begin
  execute format(
    'grant select on retentiond.node, retentiond.checkpoint, retentiond.keys_entry to %I, %I',
    daemon, auditor
  );
  execute format('grant insert on retentiond.checkpoint to %I', daemon);
end $$;
