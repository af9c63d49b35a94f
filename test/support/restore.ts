/** Puts a database back to an earlier state, as a restore does: the same cluster, older rows. */

type Run = (statement: string) => Promise<unknown>

const OURS = `
  select relation.relname
  from pg_class as relation
  where relation.relnamespace = 'retentiond'::regnamespace
    and relation.relkind = 'r'
    and relation.relname not in ('migration', 'migration_file', 'lease')`

/** Keeps the journal, the holds, the approvals and these tables as they are now. */
export async function takeBackup(run: Run, tables: readonly string[]): Promise<void> {
  await run(`
    create schema backup;
    do $$ declare each text; begin
      for each in ${OURS} loop
        execute format('create table backup.%I as table retentiond.%I', each, each);
      end loop;
    end $$;`)
  for (const [at, table] of tables.entries()) {
    await run(`create table backup.governed_${at} as table ${table}`)
  }
}

/** Puts all of it back. The guards are taken away for it, as only a superuser can. */
export async function putBack(run: Run, tables: readonly string[]): Promise<void> {
  await run(`
    do $$ declare each text; guard record; names text; begin
      for each in ${OURS} loop
        execute format('alter table retentiond.%I disable trigger all', each);
        execute format('delete from retentiond.%I', each);
        select string_agg(quote_ident(attname), ', ') into names
          from pg_attribute
          where attrelid = format('retentiond.%I', each)::regclass
            and attnum > 0 and not attisdropped and attgenerated = '';
        execute format(
          'insert into retentiond.%I (%s) overriding system value select %s from backup.%I',
          each, names, names, each);
        for guard in select tgname from pg_trigger
          where tgrelid = format('retentiond.%I', each)::regclass and not tgisinternal
        loop
          execute format('alter table retentiond.%I enable always trigger %I', each, guard.tgname);
        end loop;
      end loop;
    end $$;`)
  for (const [at, table] of tables.entries()) {
    await run(`delete from ${table}; insert into ${table} table backup.governed_${at}`)
  }
}
