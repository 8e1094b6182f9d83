-- The audit log as chains, one for each project, each organisation and the installation: an entry is sealed together with
-- the seal of the one before it. What was written before is chained when the store is opened.

drop index audit_of_organization;
alter table audit rename to audit_unchained;

create table audit (
    chain        text    not null,
    -- The place in the chain, from 1.
    number       integer not null,
    id           text    not null unique,
    organization text,
    project      text,
    kind         text    not null,
    at           integer not null,
    record       text    not null,
    seal         text    not null,
    primary key (chain, number)
) strict, without rowid;
create index audit_of_organization on audit (organization, kind, id);

-- The last entry of each chain: a log that was cut off has fewer than are noted here.
create table audit_heads (
    chain  text    not null primary key,
    number integer not null,
    seal   text    not null
) strict, without rowid;

create trigger audit_is_not_changed before update on audit
begin select raise(abort, 'the audit log only grows'); end;
create trigger audit_is_not_deleted before delete on audit
begin select raise(abort, 'the audit log only grows'); end;
create trigger audit_heads_go_forward before update on audit_heads when new.number <> old.number + 1
begin select raise(abort, 'the audit log only grows'); end;
create trigger audit_heads_stay before delete on audit_heads
begin select raise(abort, 'the audit log only grows'); end;
