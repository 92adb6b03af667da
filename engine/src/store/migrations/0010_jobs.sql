-- Work that nobody waits for. `lease_until` is when a running job is taken for abandoned; a `unique_key` stays taken for as long as its row is
-- there. Payloads hold ids, never what people say.
CREATE TABLE jobs (
  id @id,
  kind @key NOT NULL,
  payload @text NOT NULL,
  state @key NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'dead', 'cancelled')),
  attempts BIGINT NOT NULL DEFAULT 0,
  max_attempts BIGINT NOT NULL,
  run_at BIGINT NOT NULL,
  claimed_by @key,
  lease_until BIGINT,
  unique_key @key UNIQUE,
  last_error @text,
  created_at BIGINT NOT NULL,
  started_at BIGINT,
  ended_at BIGINT
);
CREATE INDEX jobs_due ON jobs (state, run_at, id);
CREATE INDEX jobs_by_state ON jobs (state, id);
CREATE INDEX jobs_by_kind ON jobs (kind, id);
CREATE INDEX jobs_ended ON jobs (ended_at);

-- When recurring work runs next; without `next_at` never. Whoever moves `next_at` on enqueues the job, in one transaction.
CREATE TABLE schedules (
  name @key NOT NULL PRIMARY KEY,
  expression @text NOT NULL,
  last_at BIGINT,
  next_at BIGINT
);
