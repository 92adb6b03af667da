-- The key that a metered call was made with, and how many of its tokens came from the provider's cache.
ALTER TABLE usage_ledger ADD COLUMN api_key_id BIGINT;
ALTER TABLE usage_ledger ADD COLUMN cached_tokens BIGINT NOT NULL DEFAULT 0;

-- What an admin allows this account, as small JSON read with its row.
ALTER TABLE accounts ADD COLUMN quotas @text;

-- What was spent, and what is reserved for calls under way, in a window of the calendar: one row for whoever has a quota there.
CREATE TABLE quota_counters (
  scope @key NOT NULL CHECK (scope IN ('account', 'api_key')),
  subject_id BIGINT NOT NULL,
  period @key NOT NULL CHECK (period IN ('minute', 'day', 'month')),
  starts_at BIGINT NOT NULL,
  ends_at BIGINT NOT NULL,
  requests BIGINT NOT NULL,
  tokens BIGINT NOT NULL,
  micros BIGINT NOT NULL,
  reserved_requests BIGINT NOT NULL DEFAULT 0,
  reserved_tokens BIGINT NOT NULL DEFAULT 0,
  reserved_micros BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (scope, subject_id, period, starts_at)
);
CREATE INDEX quota_counters_expiry ON quota_counters (ends_at);

-- A call under way that has a quota: goes when it is settled. The periods are sums of 1 (minute), 2 (day) and 4 (month): the counters that
-- hold the reservation, in the windows in which `created_at` lies.
CREATE TABLE quota_reservations (
  id @id,
  account_id BIGINT NOT NULL,
  api_key_id BIGINT,
  turn_id BIGINT,
  account_periods BIGINT NOT NULL,
  key_periods BIGINT NOT NULL,
  tokens BIGINT NOT NULL,
  micros BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX quota_reservations_of_turn ON quota_reservations (turn_id);
CREATE INDEX quota_reservations_expiry ON quota_reservations (expires_at);
