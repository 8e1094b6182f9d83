-- Deliveries of one project share a limit on those on their way.
create index deliveries_under_way on deliveries (project, leased_until) where leased_until > 0;
