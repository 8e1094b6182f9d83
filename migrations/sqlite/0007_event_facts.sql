-- What is told of the job, as JSON: the job may be deleted before its event is told. Null once the event is settled, and in
-- events from before there was this column.
alter table events add column facts text;
