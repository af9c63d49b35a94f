import { sql, type QueryExecutorProvider } from 'kysely'
import { printTable } from '../base/names.ts'
import type { Along } from '../policy/policy.ts'

/**
 * Names the roles that can read an archive although they reach the table whose rows it takes: what
 * the application reads is not blocked. Counted are rights that a role has, inherits, or gets by
 * `set role`. Not counted are superusers, the archive's owner, ourselves, and the other roles of the
 * program, which are those that may use its schema.
 */
export async function inspectReaders(
  db: QueryExecutorProvider,
  archives: readonly Along[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  if (archives.length === 0) return new Map()
  const { rows } = await sql<{ archive: string; readers: readonly string[] }>`
    with
      pairs as (
        select wanted.position, governed.oid as governed, archive.oid as archive, archive.relowner,
          archive.relnamespace
        from unnest(
          ${archives.map(({ table }) => table.schema)}::text[],
          ${archives.map(({ table }) => table.name)}::text[],
          ${archives.map(({ archive }) => archive.schema)}::text[],
          ${archives.map(({ archive }) => archive.name)}::text[]
        ) with ordinality as wanted (schema, name, archive_schema, archive_name, position)
        join pg_namespace as space on space.nspname = wanted.schema
        join pg_class as governed on governed.relnamespace = space.oid and governed.relname = wanted.name
        join pg_namespace as store on store.nspname = wanted.archive_schema
        join pg_class as archive on archive.relnamespace = store.oid and archive.relname = wanted.archive_name
      ),
      roles as (select oid, rolname from pg_roles where not rolsuper),
      rights as materialized (
        select pairs.position, roles.oid as role,
          has_any_column_privilege(roles.oid, archive, 'SELECT') as reads,
          has_schema_privilege(roles.oid, relnamespace, 'USAGE') as enters,
          has_any_column_privilege(roles.oid, governed, 'SELECT, INSERT, UPDATE')
            or has_table_privilege(roles.oid, governed, 'DELETE') as reaches
        from pairs cross join roles
      ),
      judged as (
        select pairs.position, roles.rolname
        from pairs
        cross join roles
        join rights on rights.position = pairs.position and pg_has_role(roles.oid, rights.role, 'MEMBER')
        where roles.oid >= 16384 and roles.oid <> relowner and roles.rolname <> current_user
          and not exists (
            select from pg_namespace
            where nspname = 'retentiond' and has_schema_privilege(roles.oid, pg_namespace.oid, 'USAGE')
          )
        group by pairs.position, roles.rolname
        having bool_or(reads) and bool_or(enters) and bool_or(reaches)
        union
        select position, 'PUBLIC'
        from pairs
        cross join lateral (
          select relacl from pg_class where oid = archive
          union all
          select attacl from pg_attribute where attrelid = archive and not attisdropped
        ) as granted (acl)
        cross join lateral aclexplode(acl) as given
        where given.grantee = 0 and given.privilege_type = 'SELECT'
      )
    select pairs.position::int as archive, (
      select coalesce(jsonb_agg(rolname order by rolname), '[]') from judged
      where judged.position = pairs.position
    ) as readers
    from pairs`.execute(db)
  return new Map(
    rows.map(({ archive, readers }) => {
      const along = archives[Number(archive) - 1]
      return [along === undefined ? '' : printTable(along.archive), readers]
    }),
  )
}
