/**
 * What the owner of the application would say of each row: an oracle that shares nothing with the
 * program but the policy's words.
 */
import type { RuleId } from './application.ts'
import { CLUB_VIEW } from './club.ts'

/** A row as the owner sees it: of a record class, or of a table whose rows go along with one. */
export type Seen = {
  readonly class: RuleId
  /** `record`, or the name of the child table. */
  readonly part: string
  readonly id: number
  /** The record that the row goes along with; itself for a record. */
  readonly of: number
  /** A run may act on it now. */
  readonly may: boolean
}

/** True of a customer whose contracts all ended long ago, and who had one. */
const customerOver = (of: string): string => `(
  exists (select from crm.contract k where k.customer_id = ${of})
  and not exists (
    select from crm.contract k
    where k.customer_id = ${of} and (k.ended_on is null or k.state = 'active' or k.ended_on > '2005-01-01')
  )
)`

/** True of a party with a step or a fee, all of whose steps and fees are long over. */
const partyOver = `(
  (
    exists (select from law.step s join law.matter m on m.id = s.matter_id where m.party_id = r.id)
    or exists (select from law.fee f where f.party_id = r.id)
  )
  and not exists (
    select from law.step s join law.matter m on m.id = s.matter_id
    where m.party_id = r.id and coalesce(s.done_on > '2005-01-01', true)
  )
  and not exists (
    select from law.fee f
    where f.party_id = r.id and (f.state = 'due' or coalesce(f.paid_on > '2005-01-01', true))
  )
)`

/**
 * True of a row of the view that somebody ordered to keep: by itself, by what goes along with it, or
 * by the customer that it refers to.
 */
const isHeld = `exists (
  select from retentiond.hold h
  where h.lifted_at is null and (
    (h.table_name = 'crm.customer' and h.key = array[whose.customer::text])
    or (class, h.table_name) in (
        ('ticket', 'crm.ticket'), ('contract', 'crm.contract'), ('visit', 'site.visit'),
        ('account', 'bank.account'), ('party', 'law.party'), ('parcel', 'post.parcel'),
        ('member', 'club.member')
      ) and h.key = array[seen."of"::text]
    or class = 'customer' and h.table_name = 'crm.exchange'
      and h.key[1]::bigint in (select x.id from crm.exchange x where x.customer_id = seen."of")
    or class = 'ticket' and h.table_name = 'crm.message'
      and h.key[1]::bigint in (select m.id from crm.message m where m.ticket_id = seen."of")
    or class = 'visit' and h.table_name = 'site.page'
      and h.key[1]::bigint in (select p.id from site.page p where p.visit_id = seen."of")
  )
)`

/**
 * Asks for everything that the rules reach, in one statement and so at one moment. A contract waits, where customers and tickets have rules that act too,
 * until the customer is nobody and no ticket is left.
 */
export function ownersView(acting: readonly RuleId[]): string {
  const decides =
    acting.includes('customer') || acting.includes('ticket')
      ? `and not exists (select from crm.customer c where c.id = r.customer_id and (c.full_name <> 'Nobody' or c.phone is not null))
         and not exists (select from crm.ticket t where t.customer_id = r.customer_id)`
      : ''
  return `
  select class, part, id::int, "of"::int, may and not ${isHeld} as may from (
    select 'customer' as class, 'record' as part, id, id as "of", ${customerOver('r.id')} as may
    from crm.customer r where full_name <> 'Nobody' or phone is not null
    union all
    select 'customer', 'crm.exchange', x.id, x.customer_id, ${customerOver('x.customer_id')}
    from crm.exchange x
    union all
    select 'ticket', 'record', id, id,
      status = 'closed' and ${customerOver('r.customer_id')}
      and not exists (select from crm.survey s where s.ticket_id = r.id)
    from crm.ticket r
    union all
    select 'ticket', 'crm.message', m.id, m.ticket_id, false from crm.message m
    union all
    select 'contract', 'record', id, id, ${customerOver('r.customer_id')} ${decides}
    from crm.contract r
    union all
    select 'contract', 'crm.amendment', a.id, a.contract_id, false from crm.amendment a
    union all
    select 'visit', 'record', id, id,
      kind = 'visit' and coalesce(recorded_on < current_date - 400, false)
      and not exists (select from site.alert a where a.visit_id = r.id)
    from site.visit r
    union all
    select 'visit', 'site.page', p.id, p.visit_id, false from site.page p
    union all
    select 'event', 'record', id, id, coalesce(recorded_on < current_date - 400, false)
    from site.event r
    union all
    select 'event', 'site.echo', e.id, e.event_id, false from site.echo e
    union all
    select 'account', 'record', id, id,
      exists (select from bank.movement m where m.number = r.number)
      and not exists (
        select from bank.movement m
        where m.number = r.number and coalesce(m.booked_on > '2005-01-01', true)
      )
    from bank.account r
    union all
    select 'party', 'record', id, id, ${partyOver} from law.party r where name <> 'Nobody'
    union all
    select 'parcel', 'record', id, id,
      exists (
        select from post.label l join post.scan s on s.code = l.code where l.parcel_id = r.id
      )
      and not exists (
        select from post.label l join post.scan s on s.code = l.code
        where l.parcel_id = r.id and coalesce(s.read_on > '2005-01-01', true)
      )
    from post.parcel r where receiver <> 'Nobody'
    union all
    ${CLUB_VIEW}
  ) as seen
  cross join lateral (
    select
      case class
        when 'ticket' then (select customer_id from crm.ticket t where t.id = seen."of")
        when 'contract' then (select customer_id from crm.contract k where k.id = seen."of")
        when 'customer' then seen."of"
      end as customer
  ) as whose
  where class = any ('{${acting.join(',')}}')
  order by class, part, id`
}
