create schema mail;
create table mail.subscriber (id bigint primary key, unsubscribed_on date);
insert into mail.subscriber values (1, '2005-01-01'), (2, current_date), (3, null);
-- gone: mail.subscriber 1
