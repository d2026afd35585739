-- One row for each job. `token` is the fencing token of the lease that wrote the row last: an older one never overwrites it.
create table if not exists jobs (
  id text primary key,
  -- queued, done, failed; withdrawn: its queue entry came through, its submission did not.
  state text not null,
  token bigint not null,
  payload jsonb,
  result jsonb,
  written timestamptz not null default now()
);
