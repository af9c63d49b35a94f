-- What:  which checkpoint each sink has taken, and when; the entries of holds, found quickly.
-- Why:   a daemon that starts again goes on with what a sink has not taken yet, and knows for how
--        long nothing outside the database has known what was journalled. It is a memory, and proves
--        nothing: whoever can write here delays enforcement, or lets it go on. After a restore
--        the holds that the journal names are compared with those that are there.
-- Locks: creates objects in the schema retentiond. The index takes a share lock on the journal:
--        a writer of entries waits while it is built, a reader does not.
-- Runs:  as the owner of the schema; the roles as in 0001.

create table retentiond.anchor (
  size    bigint      not null check (size > 0),
  sink    text        not null check (length(sink) between 1 and 100),
  at      timestamptz not null,
  receipt text        check (octet_length(receipt) <= 65535),
  primary key (sink, size)
);

create trigger deny_change before update or delete on retentiond.anchor
  for each row execute function retentiond.deny();
create trigger deny_truncate before truncate on retentiond.anchor
  for each statement execute function retentiond.deny();

-- ALWAYS: an ordinary trigger is asleep in a session with session_replication_role = replica.
alter table retentiond.anchor enable always trigger deny_change;
alter table retentiond.anchor enable always trigger deny_truncate;

create index entry_hold on retentiond.entry (seq)
  where substring(body from 1 for 19) = '{"v":1,"type":"hold'::bytea;
create view retentiond.hold_entry as
  select seq, body, sig, leaf_hash
  from retentiond.entry
  where substring(body from 1 for 19) = '{"v":1,"type":"hold'::bytea;

do $$
declare
  daemon  constant text := current_setting('retentiond.daemon_role');
  auditor constant text := current_setting('retentiond.auditor_role');
  keeper  constant text := current_setting('retentiond.keeper_role');
begin
  execute format('grant select on retentiond.anchor to %I, %I', daemon, auditor);
  execute format('grant insert on retentiond.anchor to %I', daemon);
  execute format('grant select on retentiond.hold_entry to %I, %I, %I', daemon, auditor, keeper);
end $$;
