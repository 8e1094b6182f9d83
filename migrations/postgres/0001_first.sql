-- The tables of the SQLite store as they are after its sixth migration, in PostgreSQL's words. Ids are text and sort by
-- their bytes, times are milliseconds since the Unix epoch, nested values are JSON text.
-- What is queried has a column; everything else lives in the JSON beside it. Rows that are changed again and again leave
-- room in their page, and are cleaned up early.

-- The one row that every transaction that writes locks, so that none interleave. The generation is raised by each server
-- that takes the database over: one that has been superseded finds another number here and writes no more.
create table server (
    id         bigint not null primary key check (id = 1),
    generation bigint not null
);
insert into server values (1, 0);

create table jobs (
    id           text   collate "C" not null primary key,
    organization text   collate "C" not null,
    project      text   collate "C" not null,
    key_id       text   collate "C" not null,
    state        text   collate "C" not null,
    model        text   collate "C" not null,
    operation    text   collate "C" not null,
    created_at   bigint not null,
    finished_at  bigint,
    -- When assets are to be removed; null once they are.
    expires_at   bigint,
    -- Never changes.
    request      text   not null,
    status       text   not null,
    -- Milliseconds of a device that are promised to a job until it ends.
    reserved_ms  bigint not null default 0
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
create unique index jobs_of_project on jobs (project, id);
create index jobs_unfinished on jobs (id) where finished_at is null;
create index jobs_finished on jobs (finished_at) where finished_at is not null;
create index jobs_expiring on jobs (expires_at) where expires_at is not null;

-- Deleted jobs and files: a page of a list may still begin behind one.
create table deleted (
    id         text   collate "C" not null primary key,
    project    text   collate "C" not null,
    deleted_at bigint not null
);

create table idempotency_keys (
    project     text   collate "C" not null,
    route       text   collate "C" not null,
    key         text   collate "C" not null,
    fingerprint text   collate "C" not null,
    video       text   collate "C" not null,
    used_at     bigint not null,
    primary key (project, route, key)
);

-- Everything in storage that nothing names any more.
create table garbage (
    due          bigint not null,
    organization text   collate "C" not null,
    project      text   collate "C" not null,
    -- `file`, `input` or `results`.
    kind         text   collate "C" not null,
    -- Of the file or of the video.
    id           text   collate "C" not null,
    -- Of the execution that made the results; 0 for the others.
    epoch        bigint not null,
    primary key (due, organization, project, kind, id, epoch)
);
create index garbage_by_name on garbage (id);

create table events (
    id      text   collate "C" not null primary key,
    kind    text   collate "C" not null,
    project text   collate "C" not null,
    video   text   collate "C" not null,
    at      bigint not null,
    settled bigint not null default 0
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
create index events_pending on events (id) where settled = 0;
create index events_of_video on events (video, id);

create table usage (
    video        text   collate "C" not null primary key,
    organization text   collate "C" not null,
    project      text   collate "C" not null,
    at           bigint not null,
    record       text   not null
);
create index usage_by_time on usage (organization, at);

create table estimates (
    shape    text collate "C" not null primary key,
    estimate text not null
) with (fillfactor = 70);

-- Tenants, their keys and limits.

create table organizations (
    id     text collate "C" not null primary key,
    record text not null
);

create table projects (
    id           text collate "C" not null primary key,
    organization text collate "C" not null,
    record       text not null
);
create index projects_of_organization on projects (organization, id);

create table accounts (
    id      text collate "C" not null primary key,
    project text collate "C" not null,
    record  text not null
);
create index accounts_of_project on accounts (project, id);

create table keys (
    id     text collate "C" not null primary key,
    handle text collate "C" not null unique,
    record text not null,
    -- A project's id, an organisation's for the keys of its administrators, or '' for the operator's.
    owner  text collate "C" not null default ''
) with (fillfactor = 70);
create index keys_of_owner on keys (owner, id);

-- Limits that an administrator set; the model is '' for all together.
create table rate_limits (
    project text collate "C" not null,
    model   text collate "C" not null,
    record  text not null,
    primary key (project, model)
);

create table signing_keys (
    id     text collate "C" not null primary key,
    record text not null
);

-- Jobs that have not ended, counted as they come and go: an admission must not count rows.
create table tallies (
    project      text   collate "C" not null,
    model        text   collate "C" not null,
    organization text   collate "C" not null,
    active       bigint not null default 0,
    running      bigint not null default 0,
    reserved_ms  bigint not null default 0,
    primary key (project, model)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
create index tallies_of_organization on tallies (organization);

-- Charged milliseconds, by UTC day since the Unix epoch.
create table spent (
    project      text   collate "C" not null,
    day          bigint not null,
    model        text   collate "C" not null,
    organization text   collate "C" not null,
    gpu_ms       bigint not null default 0,
    primary key (project, day, model)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
create index spent_of_organization on spent (organization, day);

-- Answers to requests with an idempotency key that made no job; sealed, since some hold a new secret.
create table answers (
    owner       text   collate "C" not null,
    route       text   collate "C" not null,
    key         text   collate "C" not null,
    fingerprint text   collate "C" not null,
    answered_at bigint not null,
    sealed      text   not null,
    primary key (owner, route, key)
);

-- Receivers of webhooks, and events on their way to them.

create table endpoints (
    id      text   collate "C" not null primary key,
    project text   collate "C" not null,
    -- Deliveries that may be on their way to it at once; 0 while it is switched off.
    room    bigint not null,
    record  text   not null
);
create index endpoints_of_project on endpoints (project, id);

create table callback_secrets (
    project text collate "C" not null primary key,
    record  text not null
);

create table deliveries (
    id              text   collate "C" not null primary key,
    event           text   collate "C" not null,
    project         text   collate "C" not null,
    video           text   collate "C",
    -- Null for a callback.
    endpoint        text   collate "C",
    -- The endpoint's id or the callback's URL: a receiver gets an event once.
    receiver        text   collate "C" not null,
    -- Deliveries of one lane share the limit on those on their way.
    lane            text   collate "C" not null,
    state           text   collate "C" not null,
    created_at      bigint not null,
    next_attempt_at bigint,
    leased_until    bigint not null default 0,
    record          text   not null,
    unique (event, receiver)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
create index deliveries_due on deliveries (next_attempt_at) where next_attempt_at is not null;
create index deliveries_busy on deliveries (lane, leased_until) where leased_until > 0;
create index deliveries_under_way on deliveries (project, leased_until) where leased_until > 0;
create index deliveries_of_project on deliveries (project, id);
create index deliveries_of_endpoint on deliveries (endpoint) where endpoint is not null;
create index deliveries_made on deliveries (created_at);

create table files (
    id           text   collate "C" not null primary key,
    organization text   collate "C" not null,
    project      text   collate "C" not null,
    purpose      text   collate "C" not null,
    expires_at   bigint not null,
    record       text   not null
);
create index files_of_project on files (project, id);
create index files_expiring on files (expires_at, id);

-- The audit log as chains, one for each project, each organisation and the installation: an entry is sealed together with
-- the seal of the one before it.

create table audit (
    chain        text   collate "C" not null,
    -- The place in the chain, from 1.
    number       bigint not null,
    id           text   collate "C" not null unique,
    organization text   collate "C",
    project      text   collate "C",
    kind         text   collate "C" not null,
    at           bigint not null,
    record       text   not null,
    seal         text   not null,
    primary key (chain, number)
);
create index audit_of_organization on audit (organization, kind, id);

-- The last entry of each chain: a log that was cut off has fewer than are noted here.
create table audit_heads (
    chain  text   collate "C" not null primary key,
    number bigint not null,
    seal   text   not null
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);

create function the_audit_log_only_grows() returns trigger language plpgsql as $$
begin
    raise exception 'the audit log only grows';
end $$;
create trigger audit_is_not_changed before update or delete on audit
for each row execute function the_audit_log_only_grows();
create trigger audit_heads_go_forward before update on audit_heads
for each row when (new.number <> old.number + 1) execute function the_audit_log_only_grows();
create trigger audit_heads_stay before delete on audit_heads
for each row execute function the_audit_log_only_grows();
create trigger audit_is_not_emptied before truncate on audit
for each statement execute function the_audit_log_only_grows();
create trigger audit_heads_are_not_emptied before truncate on audit_heads
for each statement execute function the_audit_log_only_grows();
