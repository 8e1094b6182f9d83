-- Receivers of webhooks, and events on their way to them.

create table endpoints (
    id      text    not null primary key,
    project text    not null,
    -- Deliveries that may be on their way to it at once; 0 while it is switched off.
    room    integer not null,
    record  text    not null
) strict, without rowid;
create index endpoints_of_project on endpoints (project, id);

create table callback_secrets (
    project text not null primary key,
    record  text not null
) strict, without rowid;

create table deliveries (
    id              text    not null primary key,
    event           text    not null,
    project         text    not null,
    video           text,
    -- Null for a callback.
    endpoint        text,
    -- The endpoint's id or the callback's URL: a receiver gets an event once.
    receiver        text    not null,
    -- Deliveries of one lane share the limit on those on their way.
    lane            text    not null,
    state           text    not null,
    created_at      integer not null,
    next_attempt_at integer,
    leased_until    integer not null default 0,
    record          text    not null,
    unique (event, receiver)
) strict;
create index deliveries_due on deliveries (next_attempt_at) where next_attempt_at is not null;
create index deliveries_busy on deliveries (lane, leased_until) where leased_until > 0;
create index deliveries_of_project on deliveries (project, id);
create index deliveries_of_endpoint on deliveries (endpoint) where endpoint is not null;
create index deliveries_made on deliveries (created_at);
