-- What:  why each sink takes no checkpoint, and since when it has been asked in vain.
-- Why:   whoever looks at the journal is another process than the daemon that met the failure. It is a
--        memory, and proves nothing: a row goes when the sink takes something.
-- Locks: creates objects in the schema retentiond and touches nothing else.
-- Runs:  as the owner of the schema; the roles as in 0001.

create table retentiond.sink_failure (
  sink     text        primary key check (length(sink) between 1 and 100),
  at       timestamptz not null,
  failures integer     not null check (failures > 0),
  message  text        not null check (length(message) <= 1000)
);

do $$
declare
  daemon  constant text := current_setting('retentiond.daemon_role');
  auditor constant text := current_setting('retentiond.auditor_role');
begin
  execute format('grant select on retentiond.sink_failure to %I, %I', daemon, auditor);
  execute format('grant insert, update, delete on retentiond.sink_failure to %I', daemon);
end $$;
