-- What:  the tokens of batches, 32 bytes for each row, and the functions that append and prune them.
-- Why:   a token proves later that one row was acted on, and says nothing to whoever lacks the
--        evidence key (docs/journal-format.md). The root over the tokens of a batch stands in its
--        entry, so the tokens themselves can go when the evidence has been kept for long enough.
-- Locks: creates objects in the schema retentiond. The index takes a share lock on the journal:
--        a writer of entries waits while it is built, a reader does not.
-- Runs:  as the owner of the schema; the roles as in 0001.

create table retentiond.evidence (
  seq    bigint primary key check (seq >= 0),
  tokens bytea  not null check (octet_length(tokens) > 0 and octet_length(tokens) % 32 = 0)
);

-- Random bytes: trying to compress them costs and gains nothing.
alter table retentiond.evidence alter column tokens set storage external;

-- As only_owner(), for a row that goes.
create function retentiond.only_prune()
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
    raise exception 'retentiond.% is pruned by retentiond.prune_evidence() only', tg_table_name
      using errcode = '42501';
  end if;
  return old;
end $$;

create trigger deny_change before update on retentiond.evidence
  for each row execute function retentiond.deny();
create trigger deny_truncate before truncate on retentiond.evidence
  for each statement execute function retentiond.deny();
create trigger only_owner before insert on retentiond.evidence
  for each row execute function retentiond.only_owner();
create trigger only_prune before delete on retentiond.evidence
  for each row execute function retentiond.only_prune();

-- ALWAYS: an ordinary trigger is asleep in a session with session_replication_role = replica.
alter table retentiond.evidence enable always trigger deny_change;
alter table retentiond.evidence enable always trigger deny_truncate;
alter table retentiond.evidence enable always trigger only_owner;
alter table retentiond.evidence enable always trigger only_prune;

-- Appends an entry with the tokens of its rows: both, or neither.
create function retentiond.append(
  p_seq bigint, p_prev bytea, p_at timestamptz, p_body bytea, p_sig bytea, p_tokens bytea
)
returns bytea
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  leaf bytea;
begin
  leaf := retentiond.append(p_seq, p_prev, p_at, p_body, p_sig);
  insert into retentiond.evidence (seq, tokens) values (p_seq, p_tokens);
  return leaf;
end $$;

-- Removes the tokens of the entries from p_from to p_to and says of how many. Whoever calls it appends
-- an entry that says so in the same transaction: tokens that are missing without one are a finding.
create function retentiond.prune_evidence(p_from bigint, p_to bigint)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  gone bigint;
begin
  delete from retentiond.evidence where seq between p_from and p_to;
  get diagnostics gone = row_count;
  return gone;
end $$;

-- What was pruned and destroyed, looked up at the start of each run.
create index entry_evidence on retentiond.entry (seq)
  where substring(body from 1 for 24) = '{"v":1,"type":"evidence-'::bytea;
create view retentiond.evidence_entry as
  select seq, body, sig, leaf_hash
  from retentiond.entry
  where substring(body from 1 for 24) = '{"v":1,"type":"evidence-'::bytea;

revoke all on function retentiond.only_prune() from public;
revoke all on function retentiond.append(bigint, bytea, timestamptz, bytea, bytea, bytea) from public;
revoke all on function retentiond.prune_evidence(bigint, bigint) from public;

do $$
declare
  daemon  constant text := current_setting('retentiond.daemon_role');
  auditor constant text := current_setting('retentiond.auditor_role');
begin
  execute format(
    'grant select on retentiond.evidence, retentiond.evidence_entry to %I, %I', daemon, auditor
  );
  execute format(
    'grant execute on function
       retentiond.append(bigint, bytea, timestamptz, bytea, bytea, bytea),
       retentiond.prune_evidence(bigint, bigint)
     to %I',
    daemon
  );
end $$;
