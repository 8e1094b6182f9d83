-- How many transactions each of those that write has committed. It tells what became of a commit whose answer was lost. The
-- number that PostgreSQL itself gives a transaction does not: a server that is killed before it has written anything of a
-- transaction to disk gives the same number to another one later.
create table writers (
    id      bigint generated always as identity primary key,
    commits bigint not null default 0,
    -- Of the last one. Rows that are a day old are nobody's any more, and the next server removes them.
    at      timestamptz not null default now()
) with (fillfactor = 50);
