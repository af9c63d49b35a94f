/**
 * A part of the application in which rows refer to members in every way that a policy knows: with
 * several parents, without a foreign key, to be detached, and to keep the member.
 */
import { insert, remove, update, type Change } from './change.ts'

export const CLUB_SCHEMA = `
  create schema club;
  create table club.member (id bigint primary key, left_on date);
  create table club.duel (
    id bigint primary key, challenger bigint references club.member, opponent bigint references club.member
  );
  create table club.round (
    id bigint primary key, duel_id bigint references club.duel, referee bigint references club.member
  );
  create table club.locker (id bigint primary key, member_id bigint references club.member);
  create table club.fine (id bigint primary key, member_id bigint references club.member);
  create table club.remark (id bigint primary key, kind text, about bigint);
  create table club.warning (id bigint primary key, about bigint);
  create index on club.duel (challenger);
  create index on club.duel (opponent);
  create index on club.round (duel_id);
  create index on club.round (referee);
  insert into club.member values (0, current_date);
  insert into club.duel values (0, 0, null);
  insert into club.round values (0, 0, null);
  insert into club.locker values (0, 0);
  insert into club.fine values (0, 0);
  insert into club.remark values (0, 'member', 0);
  insert into club.warning values (0, 0);`

export const CLUB_RULE = `
  - id: member
    title: Members
    table: club.member
    start: left_on
    keep: 5 years
    then: purge
    references: { club.duel: with_parent, club.round: with_parent, club.locker: detach, club.fine: block }
    logical:
      - { table: club.remark, by: { about: id }, where: { kind: member }, as: with_parent }
      - { table: club.warning, by: { about: id }, as: block }`

/** Each member has a duel with itself, of two rounds, a locker, and remarks of two kinds. */
export function clubRows(count: number): string {
  const each = `from generate_series(1, ${count}) as n`
  return `
    insert into club.member select n, '2001-02-03' ${each};
    insert into club.duel select n, n, n ${each};
    insert into club.round select n * 1000 + k, n, case k when 1 then n end ${each}, generate_series(1, 2) as k;
    insert into club.locker select n, n ${each};
    insert into club.remark select n * 1000 + k, case k when 1 then 'member' else 'order' end, n ${each}, generate_series(1, 2) as k;`
}

/** The application ties a member to member 0 only, who never leaves: whoever is tied to it stays. */
const memberMay = (of: string): string => `(
  exists (select from club.member o where o.id = ${of} and o.left_on < current_date - 3000)
  and not exists (select from club.fine f where f.member_id = ${of})
  and not exists (select from club.warning w where w.about = ${of})
  and not exists (
    select from club.duel d
    where ${of} in (d.challenger, d.opponent) and 0 in (d.challenger, d.opponent)
  )
  and not exists (
    select from club.duel d join club.round e on e.duel_id = d.id
    where (${of} in (d.challenger, d.opponent) and e.referee = 0)
      or (0 in (d.challenger, d.opponent) and e.referee = ${of})
  )
)`

export const CLUB_VIEW = `
    select 'member', 'record', id, id, ${memberMay('r.id')} from club.member r
    union all
    select 'member', 'club.duel', d.id, coalesce(d.challenger, d.opponent), false from club.duel d
    union all
    select 'member', 'club.round', e.id, coalesce(e.referee, d.challenger, d.opponent), false
    from club.round e left join club.duel d on d.id = e.duel_id
    union all
    select 'member', 'club.remark', id, about, false from club.remark where kind = 'member'`

export const CLUB_CHANGES: readonly Change[] = [
  update(
    'member comes back',
    'club.member',
    (id) => `update club.member set left_on = null where id = ${id}`,
  ),
  insert(
    'duel with one who stays inserted',
    'club.duel',
    (id, fresh) => `insert into club.duel values (${fresh}, ${id}, 0)`,
  ),
  insert(
    'duel of its own inserted',
    'club.duel',
    (id, fresh) => `insert into club.duel values (${fresh}, ${id}, null)`,
  ),
  update(
    'duel moved to one who stays',
    'club.duel',
    (id) => `update club.duel set opponent = 0 where challenger = ${id}`,
  ),
  update(
    'duel moved away',
    'club.duel',
    (id) => `update club.duel set challenger = 0, opponent = 0 where challenger = ${id}`,
  ),
  update(
    'round of another moved here',
    'club.round',
    (id) => `update club.round set referee = ${id} where id = 0`,
  ),
  insert(
    'round refereed by one who stays inserted',
    'club.round',
    (id, fresh) => `insert into club.round values (${fresh}, ${id}, 0)`,
  ),
  remove(
    'rounds deleted',
    'club.round',
    (id) => `delete from club.round where duel_id = ${id} returning id::int`,
  ),
  insert(
    'locker given',
    'club.locker',
    (id, fresh) => `insert into club.locker values (${fresh}, ${id})`,
  ),
  update(
    'locker moved here',
    'club.locker',
    (id) => `update club.locker set member_id = ${id} where id = 0`,
  ),
  update(
    'locker moved away',
    'club.locker',
    (id) => `update club.locker set member_id = 0 where member_id = ${id}`,
  ),
  insert('fined', 'club.fine', (id, fresh) => `insert into club.fine values (${fresh}, ${id})`),
  update(
    'fine moved here',
    'club.fine',
    (id) => `update club.fine set member_id = ${id} where id = 0`,
  ),
  insert(
    'remark made',
    'club.remark',
    (id, fresh) => `insert into club.remark values (${fresh}, 'member', ${id})`,
  ),
  update(
    'remark becomes one about the member',
    'club.remark',
    (id) => `update club.remark set kind = 'member' where about = ${id}`,
  ),
  update(
    'remarks moved to one who stays',
    'club.remark',
    (id) => `update club.remark set about = 0 where about = ${id}`,
  ),
  insert(
    'warned',
    'club.warning',
    (id, fresh) => `insert into club.warning values (${fresh}, ${id})`,
  ),
]
