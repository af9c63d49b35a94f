/** What the application of these tests may do to a record while a batch is at work on it. */
import { DONOR, OLD, type RuleId } from './application.ts'
import { insert, remove, update, type Change } from './change.ts'
import { CLUB_CHANGES } from './club.ts'
import { PARCEL_CHANGES, PARTY_CHANGES } from './way-changes.ts'

/** What decides about a customer is its contracts; `of` finds the customer of the record. */
const contractChanges = (of: (id: number) => string): readonly Change[] => [
  update(
    'older contract re-opened',
    'crm.contract',
    (id) =>
      `update crm.contract set ended_on = null where id = (select min(id) from crm.contract where customer_id = ${of(id)})`,
  ),
  update(
    'contract set active',
    'crm.contract',
    (id) => `update crm.contract set state = 'active' where customer_id = ${of(id)}`,
  ),
  insert(
    'open contract inserted',
    'crm.contract',
    (id, fresh) => `insert into crm.contract values (${fresh}, ${of(id)}, 'active', null)`,
  ),
  insert(
    'contract that ended yesterday inserted',
    'crm.contract',
    (id, fresh) =>
      `insert into crm.contract values (${fresh}, ${of(id)}, 'ended', current_date - 1)`,
  ),
  insert(
    'contract that ended long ago inserted',
    'crm.contract',
    (id, fresh) => `insert into crm.contract values (${fresh}, ${of(id)}, 'ended', ${OLD})`,
  ),
  update(
    'open contract moved here',
    'crm.contract',
    (id) => `update crm.contract set customer_id = ${of(id)} where id = ${DONOR}`,
  ),
  update(
    'contracts moved away',
    'crm.contract',
    (id) => `update crm.contract set customer_id = ${DONOR} where customer_id = ${of(id)}`,
  ),
]

/** What the application may do about a record of each class. */
export const CHANGES: Readonly<Record<RuleId, readonly Change[]>> = {
  customer: [
    ...contractChanges((id) => String(id)),
    insert(
      'exchange inserted',
      'crm.exchange',
      (id, fresh) => `insert into crm.exchange values (${fresh}, ${id}, 'new')`,
    ),
    update(
      'exchanges moved away',
      'crm.exchange',
      (id) => `update crm.exchange set customer_id = ${DONOR} where customer_id = ${id}`,
    ),
    update(
      'exchange moved here',
      'crm.exchange',
      (id) =>
        `update crm.exchange set customer_id = ${id} where id = (select min(id) from crm.exchange where customer_id = ${DONOR})`,
    ),
    insert(
      'ticket inserted',
      'crm.ticket',
      (id, fresh) => `insert into crm.ticket values (${fresh}, ${id}, 'open')`,
    ),
    update(
      'telephone changed',
      'crm.customer',
      (id) => `update crm.customer set phone = '02' where id = ${id}`,
    ),
    remove(
      'customer deleted',
      'crm.customer',
      (id) => `delete from crm.customer where id = ${id} returning id::int`,
    ),
  ],
  ticket: [
    ...contractChanges((id) => `(select customer_id from crm.ticket where id = ${id})`),
    update(
      're-opened',
      'crm.ticket',
      (id) => `update crm.ticket set status = 'open' where id = ${id}`,
    ),
    update(
      'moved to a customer with an open contract',
      'crm.ticket',
      (id) => `update crm.ticket set customer_id = ${DONOR} where id = ${id}`,
    ),
    insert(
      'message inserted',
      'crm.message',
      (id, fresh) => `insert into crm.message values (${fresh}, ${id}, 'new')`,
    ),
    update(
      'messages moved away',
      'crm.message',
      (id) => `update crm.message set ticket_id = ${DONOR} where ticket_id = ${id}`,
    ),
    insert(
      'survey with a rule of its own inserted',
      'crm.survey',
      (id, fresh) => `insert into crm.survey values (${fresh}, ${id}, current_date)`,
    ),
    remove(
      'messages deleted',
      'crm.message',
      (id) => `delete from crm.message where ticket_id = ${id} returning id::int`,
    ),
  ],
  contract: [
    ...contractChanges((id) => `(select customer_id from crm.contract where id = ${id})`),
    insert(
      'amendment inserted',
      'crm.amendment',
      (id, fresh) => `insert into crm.amendment values (${fresh}, ${id}, 'new')`,
    ),
    update(
      'amendments moved away',
      'crm.amendment',
      (id) => `update crm.amendment set contract_id = ${DONOR} where contract_id = ${id}`,
    ),
  ],
  visit: [
    update(
      'recorded again',
      'site.visit',
      (id) => `update site.visit set recorded_on = current_date where id = ${id}`,
    ),
    update(
      'of another kind',
      'site.visit',
      (id) => `update site.visit set kind = 'evidence' where id = ${id}`,
    ),
    insert(
      'page inserted',
      'site.page',
      (id, fresh) => `insert into site.page values (${fresh}, ${id}, 'new')`,
    ),
    update(
      'pages moved away',
      'site.page',
      (id) => `update site.page set visit_id = ${DONOR} where visit_id = ${id}`,
    ),
    update(
      'page moved here',
      'site.page',
      (id) =>
        `update site.page set visit_id = ${id} where id = (select min(id) from site.page where visit_id = ${DONOR})`,
    ),
    insert(
      'alert with a rule of its own inserted',
      'site.alert',
      (id, fresh) => `insert into site.alert values (${fresh}, ${id}, current_date)`,
    ),
    remove(
      'pages deleted',
      'site.page',
      (id) => `delete from site.page where visit_id = ${id} returning id::int`,
    ),
    insert(
      'inserted with an old date',
      'site.visit',
      (_, fresh) => `insert into site.visit values (${fresh}, ${OLD}, 'visit')`,
    ),
  ],
  event: [
    update(
      'moved to the other partition',
      'site.event',
      (id) =>
        `update site.event set region = case region when 'north' then 'south' else 'north' end where id = ${id}`,
    ),
    update(
      'moved to the other partition and recorded again',
      'site.event',
      (id) =>
        `update site.event set recorded_on = current_date, region = case region when 'north' then 'south' else 'north' end where id = ${id}`,
    ),
    update(
      'recorded again',
      'site.event',
      (id) => `update site.event set recorded_on = current_date where id = ${id}`,
    ),
    insert(
      'echo inserted',
      'site.echo',
      (id, fresh) =>
        `insert into site.echo select ${fresh}, id, region from site.event where id = ${id}`,
    ),
    update(
      'echoes moved away',
      'site.echo',
      (id) => `update site.echo set event_id = ${DONOR}, region = 'north' where event_id = ${id}`,
    ),
    remove(
      'echoes deleted',
      'site.echo',
      (id) => `delete from site.echo where event_id = ${id} returning id::int`,
    ),
  ],
  party: PARTY_CHANGES,
  parcel: PARCEL_CHANGES,
  member: CLUB_CHANGES,
  account: [
    update(
      'movement booked yesterday',
      'bank.movement',
      (id) => `update bank.movement set booked_on = current_date - 1 where id = ${id}`,
    ),
    update(
      'movement without a date',
      'bank.movement',
      (id) => `update bank.movement set booked_on = null where id = ${id}`,
    ),
    insert(
      'new movement inserted',
      'bank.movement',
      (id, fresh) => `insert into bank.movement values (${fresh}, ${id}, current_date)`,
    ),
    update(
      'new movement moved here',
      'bank.movement',
      (id) => `update bank.movement set number = ${id} where id = ${DONOR}`,
    ),
    remove(
      'movements deleted',
      'bank.movement',
      (id) => `delete from bank.movement where id = ${id} returning id::int`,
    ),
    update(
      'account renumbered',
      'bank.account',
      (id) => `update bank.account set number = -number where id = ${id}`,
    ),
    remove(
      'account deleted',
      'bank.account',
      (id) => `delete from bank.account where id = ${id} returning id::int`,
    ),
  ],
}
