-- What moderation blocked, until its admins' time for looking at it is over. Blocked messages stand here alone: they are in no
-- conversation. A key protects a refusal as idempotency_keys do a turn.
CREATE TABLE moderation_events (
  id @id,
  account_id BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  conversation_id BIGINT,
  message_id BIGINT,
  subject @key NOT NULL CHECK (subject IN ('message', 'answer')),
  content @text NOT NULL,
  source @key NOT NULL,
  category @text NOT NULL,
  state @key NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'confirmed', 'dismissed')),
  idempotency_key @key,
  fingerprint @key,
  key_expires_at BIGINT,
  created_at BIGINT NOT NULL,
  reviewed_by BIGINT,
  reviewed_at BIGINT,
  UNIQUE (account_id, idempotency_key)
);
CREATE INDEX moderation_events_by_state ON moderation_events (state, id);
CREATE INDEX moderation_events_by_age ON moderation_events (created_at);
