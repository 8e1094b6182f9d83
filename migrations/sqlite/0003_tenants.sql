-- What projects use and may use, who changed what, the keys that sign tokens, and answers to be repeated.

-- Milliseconds of a device that are promised to a job until it ends.
alter table jobs add column reserved_ms integer not null default 0;

-- Jobs that have not ended, counted as they come and go: an admission must not count rows.
create table tallies (
    project      text    not null,
    model        text    not null,
    organization text    not null,
    active       integer not null default 0,
    running      integer not null default 0,
    reserved_ms  integer not null default 0,
    primary key (project, model)
) strict, without rowid;
create index tallies_of_organization on tallies (organization);
insert into tallies
select project, model, organization, count(*), sum(state = 'in_progress'), 0
from jobs where finished_at is null group by project, model, organization;

-- Charged milliseconds, by UTC day since the Unix epoch.
create table spent (
    project      text    not null,
    day          integer not null,
    model        text    not null,
    organization text    not null,
    gpu_ms       integer not null default 0,
    primary key (project, day, model)
) strict, without rowid;
create index spent_of_organization on spent (organization, day);
insert into spent
select project, at / 86400000, json_extract(record, '$.model'), organization,
       sum(cast(json_extract(record, '$.usage.gpu_seconds') * 1000 + 0.5 as integer))
from usage where json_extract(record, '$.usage.gpu_seconds') > 0 group by 1, 2, 3, 4;

-- Limits that an administrator set; the model is '' for all together.
create table rate_limits (
    project text not null,
    model   text not null,
    record  text not null,
    primary key (project, model)
) strict, without rowid;

-- A project's id, an organisation's for the keys of its administrators, or '' for the operator's.
alter table keys add column owner text not null default '';
update keys set owner = coalesce(json_extract(record, '$.owner.project.scope.project'),
                                 json_extract(record, '$.owner.admin.organization'), '');
create index keys_of_owner on keys (owner, id);

create table audit (
    id           text not null primary key,
    organization text not null,
    project      text,
    kind         text not null,
    at           integer not null,
    record       text not null
) strict, without rowid;
create index audit_of_organization on audit (organization, id);

create table signing_keys (
    id     text not null primary key,
    record text not null
) strict, without rowid;

-- Answers to requests with an idempotency key that made no job; sealed, since some hold a new secret.
create table answers (
    owner       text    not null,
    route       text    not null,
    key         text    not null,
    fingerprint text    not null,
    answered_at integer not null,
    sealed      text    not null,
    primary key (owner, route, key)
) strict, without rowid;
