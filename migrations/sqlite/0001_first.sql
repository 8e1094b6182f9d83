-- Ids are text, times are milliseconds since the Unix epoch, nested values are JSON text.
-- What is queried has a column; everything else lives in the JSON beside it.

create table jobs (
    id           text    not null primary key,
    organization text    not null,
    project      text    not null,
    key_id       text    not null,
    state        text    not null,
    model        text    not null,
    operation    text    not null,
    created_at   integer not null,
    finished_at  integer,
    -- When assets are to be removed; null once they are.
    expires_at   integer,
    -- Never changes.
    request      text    not null,
    status       text    not null
) strict;
create index jobs_of_project on jobs (project, id);
create index jobs_unfinished on jobs (id) where finished_at is null;
create index jobs_active on jobs (project) where finished_at is null;
create index jobs_finished on jobs (finished_at) where finished_at is not null;
create index jobs_expiring on jobs (expires_at) where expires_at is not null;

-- Deleted jobs: a page of a list may still begin behind one.
create table deleted_jobs (
    id         text    not null primary key,
    project    text    not null,
    deleted_at integer not null
) strict, without rowid;

create table idempotency_keys (
    project     text    not null,
    route       text    not null,
    key         text    not null,
    fingerprint text    not null,
    video       text    not null,
    used_at     integer not null,
    primary key (project, route, key)
) strict, without rowid;

-- Files that no job names any more.
create table garbage (
    due          integer not null,
    organization text    not null,
    project      text    not null,
    video        text    not null,
    epoch        integer not null,
    primary key (due, organization, project, video, epoch)
) strict, without rowid;

create table events (
    id      text    not null primary key,
    kind    text    not null,
    project text    not null,
    video   text    not null,
    at      integer not null,
    settled integer not null default 0
) strict, without rowid;
create index events_pending on events (id) where settled = 0;
create index events_of_video on events (video, id);

create table usage (
    video        text    not null primary key,
    organization text    not null,
    project      text    not null,
    at           integer not null,
    record       text    not null
) strict, without rowid;
create index usage_by_time on usage (organization, at);

create table estimates (
    shape    text not null primary key,
    estimate text not null
) strict, without rowid;

create table organizations (
    id     text not null primary key,
    record text not null
) strict, without rowid;

create table projects (
    id           text not null primary key,
    organization text not null,
    record       text not null
) strict, without rowid;
create index projects_of_organization on projects (organization, id);

create table accounts (
    id      text not null primary key,
    project text not null,
    record  text not null
) strict, without rowid;
create index accounts_of_project on accounts (project, id);

create table keys (
    id     text not null primary key,
    handle text not null unique,
    record text not null
) strict, without rowid;
