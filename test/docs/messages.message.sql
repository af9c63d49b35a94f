create schema chat;
create table chat.message (id bigint primary key, sender_id bigint, recipient_id bigint, sent_at timestamptz);
insert into chat.message values (1, 1, 2, '2005-01-01'), (2, 2, 1, now());
-- gone: chat.message 1
