-- What:  the approvals: what a person allowed one version of one rule to do, and for how long.
-- Why:   the journal says that an approval was given or revoked, by its digest; the body stands here,
--        where a run reads its bounds. A body that no entry names, or that is not what its entry
--        named, counts for nothing: who can write to this table alone has gained nothing.
-- Locks: creates objects in the schema retentiond. The index takes a share lock on the journal:
--        a writer of entries waits while it is built, a reader does not.
-- Runs:  as the owner of the schema; the roles as in 0001.

create table retentiond.approval (
  sha256 bytea primary key generated always as (sha256(body)) stored,
  body   bytea not null check (octet_length(body) between 2 and 65535)
);

create trigger deny_change before update or delete on retentiond.approval
  for each row execute function retentiond.deny();
create trigger deny_truncate before truncate on retentiond.approval
  for each statement execute function retentiond.deny();
alter table retentiond.approval enable always trigger deny_change;
alter table retentiond.approval enable always trigger deny_truncate;

create index entry_approval on retentiond.entry (seq)
  where substring(body from 1 for 23) = '{"v":1,"type":"approval'::bytea;

create view retentiond.approval_entry as
  select seq, body, sig, leaf_hash
  from retentiond.entry
  where substring(body from 1 for 23) = '{"v":1,"type":"approval'::bytea;

do $$
declare
  daemon  constant text := current_setting('retentiond.daemon_role');
  auditor constant text := current_setting('retentiond.auditor_role');
begin
  execute format(
    'grant select on retentiond.approval, retentiond.approval_entry to %I, %I', daemon, auditor
  );
  execute format('grant insert (body) on retentiond.approval to %I', daemon);
end $$;
