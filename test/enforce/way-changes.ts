/** What may happen between a record and the rows that decide about it, where tables stand in between. */
import { DONOR, OLD } from './application.ts'
import { insert, remove, update, type Change } from './change.ts'

const matterOf = (id: number): string => `(select min(id) from law.matter where party_id = ${id})`

/** A party counts from steps, through its matters, and from fees. */
export const PARTY_CHANGES: readonly Change[] = [
  update(
    'step re-opened',
    'law.step',
    (id) => `update law.step set done_on = null where matter_id = ${matterOf(id)}`,
  ),
  update(
    'step done yesterday',
    'law.step',
    (id) => `update law.step set done_on = current_date - 1 where matter_id = ${matterOf(id)}`,
  ),
  insert(
    'open step inserted',
    'law.step',
    (id, fresh) => `insert into law.step values (${fresh}, ${matterOf(id)}, null)`,
  ),
  update(
    'open step moved to a matter of the party',
    'law.step',
    (id) => `update law.step set matter_id = ${matterOf(id)} where id = ${DONOR}`,
  ),
  update(
    'steps moved to a matter of another party',
    'law.step',
    (id) =>
      `update law.step set matter_id = ${DONOR} where matter_id in (select id from law.matter where party_id = ${id})`,
  ),
  remove(
    'steps deleted',
    'law.step',
    (id) =>
      `delete from law.step where matter_id in (select id from law.matter where party_id = ${id}) returning id::int`,
  ),
  update(
    'matter with an open step moved here',
    'law.matter',
    (id) => `update law.matter set party_id = ${id} where id = ${DONOR}`,
  ),
  update(
    'matters moved to another party',
    'law.matter',
    (id) => `update law.matter set party_id = ${DONOR} where party_id = ${id}`,
  ),
  insert(
    'matter inserted',
    'law.matter',
    (id, fresh) => `insert into law.matter values (${fresh}, ${id}, current_date)`,
  ),
  update(
    'fee due again',
    'law.fee',
    (id) => `update law.fee set state = 'due' where party_id = ${id}`,
  ),
  insert(
    'fee due inserted',
    'law.fee',
    (id, fresh) => `insert into law.fee values (${fresh}, ${id}, 'due', ${OLD})`,
  ),
  update(
    'fee that is due moved here',
    'law.fee',
    (id) => `update law.fee set party_id = ${id} where id = ${DONOR}`,
  ),
  update(
    'fees moved to another party',
    'law.fee',
    (id) => `update law.fee set party_id = ${DONOR} where party_id = ${id}`,
  ),
]

/** A parcel counts from scans, which know no foreign key, through its labels. */
export const PARCEL_CHANGES: readonly Change[] = [
  update(
    'scan read today',
    'post.scan',
    (id) => `update post.scan set read_on = current_date where id = ${id} * 1000 + 1`,
  ),
  insert(
    'scan without a day inserted',
    'post.scan',
    (id, fresh) => `insert into post.scan values (${fresh}, ${id}, null)`,
  ),
  update(
    'new scan gets the code of the label',
    'post.scan',
    (id) => `update post.scan set code = ${id} where id = ${DONOR}`,
  ),
  update(
    'label gets the code of a new scan',
    'post.label',
    (id) => `update post.label set code = ${DONOR} where parcel_id = ${id}`,
  ),
  insert(
    'label with the code of a new scan inserted',
    'post.label',
    (id, fresh) => `insert into post.label values (${fresh}, ${DONOR}, ${id}, current_date)`,
  ),
  update(
    'label with a new scan moved here',
    'post.label',
    (id) => `update post.label set parcel_id = ${id} where id = ${DONOR}`,
  ),
  update(
    'labels moved to another parcel',
    'post.label',
    (id) => `update post.label set parcel_id = ${DONOR} where parcel_id = ${id}`,
  ),
]
