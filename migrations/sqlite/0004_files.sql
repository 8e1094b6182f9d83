-- Uploaded files, and everything in storage that nothing names any more.

create table files (
    id           text    not null primary key,
    organization text    not null,
    project      text    not null,
    purpose      text    not null,
    expires_at   integer not null,
    record       text    not null
) strict, without rowid;
create index files_of_project on files (project, id);
create index files_expiring on files (expires_at, id);

-- Deleted jobs and files: a page of a list may still begin behind one.
alter table deleted_jobs rename to deleted;

-- Inputs and files leave garbage too, not only executions.
alter table garbage rename to old_garbage;
create table garbage (
    due          integer not null,
    organization text    not null,
    project      text    not null,
    -- `file`, `input` or `results`.
    kind         text    not null,
    -- Of the file or of the video.
    id           text    not null,
    -- Of the execution that made the results; 0 for the others.
    epoch        integer not null,
    primary key (due, organization, project, kind, id, epoch)
) strict, without rowid;
insert into garbage select due, organization, project, 'results', video, epoch from old_garbage;
drop table old_garbage;
create index garbage_by_name on garbage (id);
