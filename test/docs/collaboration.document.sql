create schema docs;
create schema social;
create schema audit;
create table docs.document (id bigint primary key, archived_on date);
create table docs.page (id bigint primary key, document_id bigint references docs.document);
create table social.comment (id bigint primary key, owner_type text, owner_id bigint);
create table audit.finding (id bigint primary key, document_no bigint);
insert into docs.document values (1, '2005-01-01'), (2, current_date), (3, '2005-01-01');
insert into docs.page values (1, 2), (10, 1), (30, 3);
-- 100 is of document 1, 101 of a picture, 102 of page 1 of another document, 103 of page 10
insert into social.comment values
  (100, 'document', 1), (101, 'picture', 1), (102, 'page', 1), (103, 'page', 10), (104, 'document', 2);
insert into audit.finding values (1, 3);
-- gone: docs.document 1
-- gone: docs.page 10
-- gone: social.comment 100, 103
